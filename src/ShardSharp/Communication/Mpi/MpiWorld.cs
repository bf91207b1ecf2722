using System.Diagnostics;
using ShardSharp.Communication.Local;
using ShardSharp.Native;

namespace ShardSharp.Communication.Mpi;

/// <summary>One rank's membership of an MPI job: the group of all ranks, and what every smaller group needs.</summary>
internal sealed partial class MpiWorld : IFailureBoard, IDisposable
{
    /// <summary>Spun through before anything else while each rank has a core: some 100 us, in which most messages arrive.</summary>
    private const int SpinsWithOwnCore = 1000;
    private const int SpinsWhenCrowded = 10;

    /// <summary>Turns given to other threads before sleeping.</summary>
    private const int Yields = 50;

    /// <summary>The longest sleep between two looks: MPI wakes nobody.</summary>
    private static readonly TimeSpan LongestNap = TimeSpan.FromMilliseconds(1);

    private readonly RunTerms _terms;
    private readonly int _spins;
    private int _nextGroup;

    /// <param name="communicator">The job.</param>
    /// <param name="terms">How long ranks wait for each other.</param>
    /// <param name="localSize">Ranks on this host.</param>
    public MpiWorld(MpiCommunicator communicator, RunTerms terms, int localSize)
    {
        (Communicator, _terms) = (communicator, terms);
        _spins = localSize <= Environment.ProcessorCount ? SpinsWithOwnCore : SpinsWhenCrowded;
        _notices = new Notices(communicator);
        Disturb = terms.Disturb is { } disturb ? () => disturb(communicator.Rank) : null;
        Group = new MpiProcessGroup(this, "world", communicator.Rank, [.. Enumerable.Range(0, communicator.Size)], ReserveGroup());
    }

    public MpiCommunicator Communicator { get; }

    /// <summary>The group of all ranks; disposing it ends the membership.</summary>
    public MpiProcessGroup Group { get; }

    /// <summary>Called between the steps of every operation; null but in tests.</summary>
    public Action? Disturb { get; }

    /// <summary>A number that no group of this rank has yet.</summary>
    /// <remarks>Ranks that create a group together take the largest of what they reserved, so each pair of groups that share two ranks have
    /// different numbers; the tags of their messages follow from them.</remarks>
    public int ReserveGroup() => ++_nextGroup;

    /// <summary>Notes that a number is taken.</summary>
    public void TakeGroup(int group) => _nextGroup = Math.Max(_nextGroup, group);

    /// <summary>Returns when a request is done.</summary>
    /// <param name="request">The request.</param>
    /// <param name="wait">Says who is awaited and what for, if it comes to a report.</param>
    /// <exception cref="RankFailedException">A rank ended.</exception>
    /// <exception cref="CollectiveTimeoutException">The deadline passed.</exception>
    public void Wait(ref nint request, in PendingWait wait)
    {
        for (var i = 0; i < _spins; i++)
        {
            if (Communicator.Test(ref request))
                return;
        }

        var started = Stopwatch.GetTimestamp();
        for (var i = 0; !Communicator.Test(ref request); i++)
        {
            ThrowIfHopeless(ref request, wait, Stopwatch.GetElapsedTime(started));
            Pause(i);
        }
    }

    /// <summary>Lets others work between two looks at something that MPI will not wake anyone for.</summary>
    private static unsafe void Pause(int turn)
    {
        if (turn < Yields)
        {
            Thread.Yield();
            return;
        }

        var nobodyWrites = 0;
        SharedWord.WaitWhile(&nobodyWrites, 0, TimeSpan.FromMicroseconds(Math.Min(20 * (turn - Yields + 1), LongestNap.TotalMicroseconds)));
    }
}
