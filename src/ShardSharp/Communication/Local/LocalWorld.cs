namespace ShardSharp.Communication.Local;

/// <summary>One rank's membership of a run whose ranks share memory: the group of all ranks, and what every smaller group needs.</summary>
internal sealed class LocalWorld
{
    private readonly int _rank;

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
        (_rank, Regions) = (rank, regions);
        Disturb = terms.Disturb is { } disturb ? () => disturb(rank) : null;
        Roster = new RankRoster(region.Address, size, ranksAreProcesses: regions is SharedMemorySource, globalRanks);
        Waiter = new RankWaiter(Roster, terms.CollectiveTimeout, mayOwnCore: size <= Environment.ProcessorCount);
        Group = new LocalProcessGroup(this, "world", rank, globalRanks ?? [.. Enumerable.Range(0, size)], region, RosterBytes(size));
        Roster.Enter(rank);
    }

    /// <summary>The group of all ranks; disposing it ends the membership.</summary>
    public LocalProcessGroup Group { get; }

    public IRegionSource Regions { get; }

    public RankRoster Roster { get; }

    public RankWaiter Waiter { get; }

    /// <summary>Called between the steps of every operation; null but in tests, which delay ranks here to shake out hidden races.</summary>
    public Action? Disturb { get; }

    /// <summary>Bytes of the world's region.</summary>
    public static long BytesFor(int size) => RosterBytes(size) + RegionLayout.BytesFor(size);

    /// <summary>Tells the other ranks that this one takes part in nothing any more; the memory goes with the group.</summary>
    public void Leave() => Roster.Leave(_rank);

    private static long RosterBytes(int size) => (RankRoster.BytesFor(size) + 4095) / 4096 * 4096;
}
