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
        (_notices, _flights) = (new Notices(communicator), new FlightExchange(communicator));
        Delays = new JobDelays(communicator.Size, () => Host);
        Disturb = terms.Disturb is { } disturb ? () => disturb(communicator.Rank) : null;
        Group = new MpiProcessGroup(this, "world", communicator.Rank, [.. Enumerable.Range(0, communicator.Size)], ReserveGroup());
        StartListening();
    }

    public MpiCommunicator Communicator { get; }

    /// <summary>The group of all ranks; disposing it ends the membership.</summary>
    public MpiProcessGroup Group { get; }

    /// <summary>The memory that this rank shares with others of its host; null if there are none. Owned once it is set.</summary>
    public LocalWorld? Host { get; private set; }

    /// <summary>How long the ranks waited for each other.</summary>
    public JobDelays Delays { get; }

    /// <summary>Host of every rank, once they are known.</summary>
    public IReadOnlyList<string>? HostNames { get; private set; }

    /// <summary>Called between the steps of every operation; null but in tests.</summary>
    public Action? Disturb { get; }

    /// <summary>Says which ranks share hosts, and joins this rank with those of its own; all ranks do it together, first of all.</summary>
    /// <param name="names">Host of every rank.</param>
    /// <param name="meet">Meets the others of this host, given the terms of the meeting; null where there are none.</param>
    public void EnterHost(IReadOnlyList<string> names, Func<RunTerms, LocalWorld>? meet)
    {
        HostNames = names.Distinct().Count() > 1 ? names : null;
        var host = meet?.Invoke(_terms with { Report = report => Speak(report.Cause) });
        Group.RecordIn(host?.Group.Recorder ?? FlightRecorder.Private());
        lock (_listening)
            Host = host;
    }

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
    /// <returns>Stopwatch ticks waited; 0 where it was no longer than messages take.</returns>
    /// <exception cref="CollectiveTimeoutException">The deadline passed.</exception>
    public long Wait(ref nint request, in PendingWait wait)
    {
        for (var i = 0; i < _spins; i++)
        {
            if (Communicator.Test(ref request))
                return 0;
        }

        var started = Stopwatch.GetTimestamp();
        for (var i = 0; !Communicator.Test(ref request); i++)
        {
            ThrowIfHopeless(ref request, wait, Stopwatch.GetElapsedTime(started));
            Pause(i);
        }

        return Stopwatch.GetTimestamp() - started;
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
