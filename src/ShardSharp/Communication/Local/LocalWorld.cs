using System.Diagnostics;

namespace ShardSharp.Communication.Local;

/// <summary>One rank's membership of a run whose ranks share memory: the group of all ranks, and what every smaller group needs.</summary>
internal sealed class LocalWorld
{
    private readonly int _rank;
    private readonly IReadOnlyList<int> _globalRanks;
    private readonly unsafe byte* _flights;
    private int _memories;

    /// <param name="regions">How ranks come to share memory.</param>
    /// <param name="region">Memory of the world, created with <see cref="BytesFor"/> bytes, owned from now on.</param>
    /// <param name="rank">World rank.</param>
    /// <param name="size">Ranks of the run.</param>
    /// <param name="terms">How long ranks wait for each other, and what delays them.</param>
    /// <param name="globalRanks">World rank of every one, where the run has ranks on other hosts too; then rank and size are those among
    /// the ranks of this host.</param>
    public unsafe LocalWorld(
        IRegionSource regions, MemoryRegion region, int rank, int size, RunTerms terms, IReadOnlyList<int>? globalRanks = null)
    {
        (_rank, _globalRanks, Regions) = (rank, globalRanks ?? [.. Enumerable.Range(0, size)], regions);
        _flights = region.Address + RosterBytes(size);
        Memories = new SharedMemories(ranksAreThreads: regions is ThreadMemorySource);
        SharesMemory = terms.SharesMemory;
        Disturb = terms.Disturb is { } disturb ? () => disturb(rank) : null;
        Roster = new RankRoster(
            region.Address, size, ranksAreProcesses: regions is SharedMemorySource, globalRanks, cause => terms.Report?.Invoke(Report(cause)));
        Waiter = new RankWaiter(Roster, terms.CollectiveTimeout, mayOwnCore: size <= Environment.ProcessorCount);
        Delays = new RankDelays(_flights + FlightBytes(size), size, rank);
        Group = new LocalProcessGroup(this, globalRanks is null ? "world" : "world on this host", rank, _globalRanks, region, OwnBytes(size), new FlightRecorder(FlightOf(rank)));
        Roster.Enter(rank);
    }

    /// <summary>The group of all ranks; disposing it ends the membership.</summary>
    public LocalProcessGroup Group { get; }

    public IRegionSource Regions { get; }

    /// <summary>Whether groups may give callers memory in common.</summary>
    public bool SharesMemory { get; }

    public RankRoster Roster { get; }

    public RankWaiter Waiter { get; }

    public RankDelays Delays { get; }

    /// <summary>What ranks share beside the memory of groups.</summary>
    public SharedMemories Memories { get; }

    /// <summary>Called between the steps of every operation; null but in tests, which delay ranks here to shake out hidden races.</summary>
    public Action? Disturb { get; }

    /// <summary>Bytes of the world's region.</summary>
    public static long BytesFor(int size) => OwnBytes(size) + RegionLayout.BytesFor(size);

    /// <summary>A number for a memory that this rank creates, which no other of the run has.</summary>
    public long NextMemoryNumber() => ((_rank + 1L) << 32) | (uint)Interlocked.Increment(ref _memories);

    /// <summary>Tells the other ranks that this one takes part in nothing any more; the memory goes with the group.</summary>
    public void Leave() => Roster.Leave(_rank);

    /// <summary>Notes that this rank waited for another, by its world rank.</summary>
    public void Blame(int globalRank, long ticks) => Delays.Add(PlaceOf(globalRank)!.Value, ticks);

    /// <summary>Where among the ranks of this host a world rank is; null for one of another host.</summary>
    public int? PlaceOf(int globalRank)
    {
        for (var place = 0; place < _globalRanks.Count; place++)
        {
            if (_globalRanks[place] == globalRank)
                return place;
        }

        return null;
    }

    /// <summary>Where all ranks are, for people.</summary>
    private FailureReport Report(string cause)
    {
        var flights = FlightLogs().Select(flight => new RankFlight(flight.Rank, flight.Gone, flight.Log.ReadGroups(), flight.Log.Read()));
        return new FailureReport(cause, _globalRanks[_rank], [.. flights], Stopwatch.GetTimestamp());
    }

    /// <summary>What every rank records, by world rank, and why it is gone where it is.</summary>
    public unsafe IReadOnlyList<(int Rank, string? Gone, FlightLog Log)> FlightLogs() =>
        [.. _globalRanks.Select((global, rank) => (global, Roster.WhyGone(global), new FlightLog(FlightOf(rank))))];

    /// <summary>How the process of a rank ended without a word, by its world rank; null if it did not, or is on another host.</summary>
    public string? WhyDead(int globalRank) => _globalRanks.Contains(globalRank) ? Roster.WhyDead(globalRank) : null;

    /// <summary>A rank whose process ended without a word, and how; null if there is none.</summary>
    public string? FirstDead() => Roster.FirstDead() is { } rank ? $"Rank {rank} {Roster.WhyGone(rank)}." : null;

    private unsafe byte* FlightOf(int rank) => _flights + ((long)rank * FlightLog.Bytes);

    /// <summary>Bytes before those of the group of all ranks: the roster, the flight recorders, the delays.</summary>
    private static long OwnBytes(int size) => RosterBytes(size) + FlightBytes(size) + WholePages(RankDelays.BytesFor(size));

    private static long RosterBytes(int size) => WholePages(RankRoster.BytesFor(size));

    private static long FlightBytes(int size) => WholePages((long)size * FlightLog.Bytes);

    private static long WholePages(long bytes) => (bytes + 4095) / 4096 * 4096;
}
