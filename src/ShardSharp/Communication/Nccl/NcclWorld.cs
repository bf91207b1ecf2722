using System.Diagnostics;
using System.Runtime.ExceptionServices;
using ShardSharp.Native;

namespace ShardSharp.Communication.Nccl;

/// <summary>What all groups of a rank share that communicate through NCCL: the GPU, the library, and whether something has failed.</summary>
internal sealed class NcclWorld : IDisposable
{
    /// <summary>Turns given to other threads before sleeping.</summary>
    private const int Yields = 20;

    /// <summary>How often a rank that waits looks whether another has died.</summary>
    private static readonly TimeSpan LookPeriod = TimeSpan.FromMilliseconds(20);

    /// <summary>A rank that has ended may have done its part, which then reaches the others soon.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(1);

    /// <summary>How long a thread of this rank that is at the same failure may take to say what it is, better than by hearsay.</summary>
    private static readonly TimeSpan Hearsay = TimeSpan.FromMilliseconds(100);

    private readonly ProcessGroup _host;
    private readonly TimeSpan _deadline;
    private readonly List<NcclLine> _lines = [];
    private Exception? _failure;
    private bool _isFailureSeen;
    private long _looked;
    private long? _missed;
    private long? _heard;

    /// <param name="entryPoints">The library.</param>
    /// <param name="device">The rank's GPU.</param>
    /// <param name="host">All ranks, through memory of the host or a network.</param>
    /// <param name="deadline">The longest that an operation may take once all ranks have called it.</param>
    public NcclWorld(INcclEntryPoints entryPoints, ICudaDevice device, ProcessGroup host, TimeSpan deadline)
    {
        (EntryPoints, Device, _host, _deadline) = (entryPoints, device, host, deadline);
        Watchdog = new NcclWatchdog(this);
    }

    public INcclEntryPoints EntryPoints { get; }

    public ICudaDevice Device { get; }

    public NcclWatchdog Watchdog { get; }

    /// <summary>World rank.</summary>
    public int Rank => _host.GlobalRanks[_host.Rank];

    /// <summary>What made communication impossible; null while all is well.</summary>
    public Exception? Failure => Volatile.Read(ref _failure);

    /// <summary>Whether this or another rank has failed.</summary>
    public bool HasFailure => Failure is not null || _host.Failures?.FirstFailure is not null;

    /// <summary>A failure that this rank found and its program has not been told of; null if there is none.</summary>
    public Exception? UnseenFailure => _isFailureSeen || Failure is RankFailedException ? null : Failure;

    /// <summary>What the ranks of a new communicator recognise each other by.</summary>
    public unsafe NcclUniqueId CreateId()
    {
        NcclUniqueId id;
        var result = EntryPoints.GetUniqueId(&id);
        return result == NcclResult.Success ? id : throw new CommunicationException(
            $"ncclGetUniqueId failed on rank {Rank}: {EntryPoints.GetErrorString(result)}. NCCL_DEBUG=INFO in the environment makes NCCL say more.");
    }

    /// <summary>Counts a line in: it is given up when something fails.</summary>
    public void Add(NcclLine line)
    {
        lock (_lines)
            _lines.Add(line);
        if (Failure is not null)
            line.Abort();
    }

    public void Remove(NcclLine line)
    {
        lock (_lines)
            _lines.Remove(line);
    }

    /// <summary>Gives everything up, and tells the other ranks; only the first failure counts.</summary>
    public void Fail(Exception failure)
    {
        if (Interlocked.CompareExchange(ref _failure, failure, null) is not null)
            return;
        if (failure is not RankFailedException)
            _host.Failures?.Break(failure.Message);
        lock (_lines)
            _lines.ForEach(line => line.Abort());
    }

    /// <summary>Throws what has failed, if something has.</summary>
    public void ThrowIfFailed()
    {
        if (Failure is { } failure)
            ExceptionDispatchInfo.Throw(failure);
    }

    /// <summary>The same on the way to the program, which then knows of it.</summary>
    public void ThrowToProgram()
    {
        _isFailureSeen |= Failure is not null;
        ThrowIfFailed();
    }

    /// <summary>Throws when there is no point in waiting any longer.</summary>
    /// <param name="what">What the rank waits for.</param>
    /// <param name="waited">For how long.</param>
    /// <exception cref="RankFailedException">A rank ended.</exception>
    /// <exception cref="CollectiveTimeoutException">The deadline passed.</exception>
    public void ThrowIfHopeless(string what, TimeSpan waited)
    {
        ThrowIfFailed();
        if (_host.Failures is { } board)
        {
            LookForDead(board);
            if (board.FirstFailure is { } failure && Stopwatch.GetElapsedTime(_heard ??= Stopwatch.GetTimestamp()) > Hearsay)
                throw new RankFailedException($"{failure}{Environment.NewLine}  Rank {Rank} waits on the GPU for {what}.");
        }

        if (waited > _deadline)
        {
            throw new CollectiveTimeoutException(
                $"Rank {Rank} waited {waited.TotalSeconds:F0} s, past the deadline (collective_timeout_seconds = {_deadline.TotalSeconds:F0}), for "
                + $"{what}: all ranks have called it, and NCCL did not finish.");
        }
    }

    /// <summary>Lets others work between two looks at something that nobody is woken for.</summary>
    public static unsafe void Pause(int turn)
    {
        if (turn < Yields)
        {
            Thread.Yield();
            return;
        }

        var nobodyWrites = 0;
        SharedWord.WaitWhile(&nobodyWrites, 0, TimeSpan.FromMicroseconds(Math.Min(20 * (turn - Yields + 1), 1000)));
    }

    public void Dispose() => Watchdog.Dispose();

    private void LookForDead(IFailureBoard board)
    {
        if (Stopwatch.GetElapsedTime(_looked) < LookPeriod)
            return;
        _looked = Stopwatch.GetTimestamp();
        var gone = _host.GlobalRanks.FirstOrDefault(rank => rank != Rank && board.WhyGone(rank) is not null, -1);
        if (gone < 0)
            _missed = null;
        else if (Stopwatch.GetElapsedTime(_missed ??= _looked) > Grace)
            board.Break($"Rank {gone} {board.WhyGone(gone)}, but other ranks still need it.");
    }
}
