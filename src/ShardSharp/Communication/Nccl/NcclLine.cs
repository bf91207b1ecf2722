using System.Diagnostics;
using ShardSharp.Native;

namespace ShardSharp.Communication.Nccl;

/// <summary>A communicator of NCCL with a stream of its own: what is queued here runs in order, and apart from all else on the GPU.</summary>
/// <remarks>
/// NCCL's functions do not block (<see cref="NcclConfiguration.NonBlocking"/>), so a rank that waits for another that never comes can give
/// up. One lock is held around each call and never while waiting, because a communicator that is given up is gone at once.
/// </remarks>
internal sealed unsafe partial class NcclLine
{
    /// <summary>How long to wait for others that do not leave when this rank does.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly Lock _calling = new();
    private readonly NcclWorld _world;
    private readonly INcclEntryPoints _nccl;
    private readonly int _size;
    private readonly int _rank;
    private nint _communicator;

    /// <param name="world">The run that the rank takes part in.</param>
    /// <param name="name">What the line is for, in reports.</param>
    /// <param name="size">Ranks of the communicator, all of which make it together.</param>
    /// <param name="rank">This rank among them.</param>
    /// <param name="id">What they recognise each other by.</param>
    public NcclLine(NcclWorld world, string name, int size, int rank, NcclUniqueId id)
    {
        (_world, _nccl, Name, _size, _rank) = (world, world.EntryPoints, name, size, rank);
        Stream = world.Device.CreateStream();
        var configuration = NcclConfiguration.NonBlocking;

        try
        {
            // NCCL takes the thread's current device.
            using (world.Device.Redirect(Stream))
            {
                lock (_calling)
                {
                    nint communicator;
                    Check(_nccl.CommInitRankConfig(&communicator, size, id, rank, &configuration), "ncclCommInitRankConfig");
                    _communicator = communicator;
                }

                world.Add(this);
                AwaitProgress($"the communicator of {name}");
            }
        }
        catch
        {
            Abort();
            world.Remove(this);
            world.Device.DestroyStream(Stream);
            throw;
        }
    }

    /// <summary>What the line is for.</summary>
    public string Name { get; }

    /// <summary>Where its operations run.</summary>
    public nint Stream { get; }

    /// <summary>Queues an operation behind an event, and returns when NCCL has taken it.</summary>
    public void Queue(in CollectiveCall call, nint ready)
    {
        _world.Device.Wait(Stream, ready);

        // All ranks agree on that.
        if (call.AgreedBytes == 0)
            return;
        lock (_calling)
        {
            ThrowIfGivenUp();
            Queue(call);
        }

        AwaitProgress(call.ToString());
    }

    /// <summary>Throws if NCCL has found the communicator broken.</summary>
    public void RequireHealth() => _ = IsInProgress();

    /// <summary>Gives the communicator up, whatever runs on it; once.</summary>
    public void Abort()
    {
        lock (_calling)
        {
            if (_communicator != 0)
                _ = _nccl.CommAbort(_communicator);
            _communicator = 0;
        }
    }

    /// <summary>Begins to end the line, on which nothing runs any more; all its ranks do it.</summary>
    public void BeginToClose()
    {
        lock (_calling)
        {
            if (_communicator != 0)
                _ = _nccl.CommFinalize(_communicator);
        }
    }

    /// <summary>Ends the line, together with the other ranks as far as they come.</summary>
    public void Close()
    {
        try
        {
            var started = Stopwatch.GetTimestamp();
            for (var turn = 0; IsInProgress(); turn++)
            {
                if (_world.HasFailure || Stopwatch.GetElapsedTime(started) > Patience)
                    Abort();
                NcclWorld.Pause(turn);
            }

            lock (_calling)
            {
                Check(_nccl.CommDestroy(_communicator), "ncclCommDestroy");
                _communicator = 0;
            }
        }
        catch (CommunicationException)
        {
            // Nothing was left to do but to free memory, which giving it up does too.
            Abort();
        }

        _world.Remove(this);
        _world.Device.DestroyStream(Stream);
    }

    /// <summary>Waits until NCCL has done what it was asked, which with functions that do not block may take it some time.</summary>
    private void AwaitProgress(string what)
    {
        var started = Stopwatch.GetTimestamp();
        for (var turn = 0; IsInProgress(); turn++)
        {
            _world.ThrowIfHopeless(what, Stopwatch.GetElapsedTime(started));
            NcclWorld.Pause(turn);
        }
    }

    private bool IsInProgress()
    {
        lock (_calling)
        {
            ThrowIfGivenUp();
            NcclResult state;
            Check(_nccl.CommGetAsyncError(_communicator, &state), "ncclCommGetAsyncError");
            Check(state, "NCCL");
            return state == NcclResult.InProgress;
        }
    }

    private void ThrowIfGivenUp()
    {
        if (_communicator != 0)
            return;
        _world.ThrowIfFailed();
        throw new CommunicationException($"The communicator of {Name} has been given up.");
    }

    private void Check(NcclResult result, string function)
    {
        if (result is NcclResult.Success or NcclResult.InProgress)
            return;
        var details = _communicator == 0 ? "" : $" ({_nccl.GetLastError(_communicator)})";
        throw new CommunicationException(
            $"{function} failed on rank {_world.Rank} in {Name}: {_nccl.GetErrorString(result)}{details}. NCCL_DEBUG=INFO in the environment "
            + "makes NCCL say more.");
    }
}
