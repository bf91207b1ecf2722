namespace ShardSharp.Communication.Local;

/// <summary>Where the threads of one process meet to become the ranks of a run.</summary>
internal sealed class ThreadRendezvous : IDisposable
{
    private readonly ThreadMemorySource _regions = new();
    private readonly MemoryRegion _region;
    private readonly string _address;
    private readonly int _size;
    private readonly RunTerms _terms;

    /// <param name="size">Ranks of the run; each joins once.</param>
    /// <param name="terms">How long ranks wait for each other.</param>
    public ThreadRendezvous(int size, RunTerms terms)
    {
        (_size, _terms) = (size, terms);
        _region = _regions.Create("world", LocalWorld.BytesFor(size), out _address);
    }

    /// <summary>Where a rank's failure is told to the others, so that nobody waits for it.</summary>
    public unsafe RankRoster Roster => new(_region.Address, _size, ranksAreProcesses: false);

    /// <summary>Joins as a rank.</summary>
    public LocalWorld Join(int rank) =>
        new(_regions, _regions.Open(_address, LocalWorld.BytesFor(_size)), rank, _size, _terms);

    /// <summary>Ends the meeting; the ranks that have joined keep the memory.</summary>
    public void Dispose() => _region.Dispose();
}
