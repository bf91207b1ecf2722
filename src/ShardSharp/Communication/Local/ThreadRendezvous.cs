namespace ShardSharp.Communication.Local;

/// <summary>Where the threads of one process meet to become the ranks of a run.</summary>
internal sealed class ThreadRendezvous
{
    private readonly ThreadMemorySource _regions = new();
    private readonly MemoryRegion _region;
    private readonly string _address;
    private readonly int _size;
    private readonly RunTerms _terms;
    private int _joined;

    /// <param name="size">Ranks of the run; each joins once.</param>
    /// <param name="terms">How long ranks wait for each other.</param>
    public ThreadRendezvous(int size, RunTerms terms)
    {
        (_size, _terms) = (size, terms);
        _region = _regions.Create("world", LocalWorld.BytesFor(size), out _address);
    }

    /// <summary>Joins as a rank. A rank that fails elsewhere must call <see cref="LocalWorld.Roster"/> so that nobody waits for it.</summary>
    public LocalWorld Join(int rank)
    {
        var world = new LocalWorld(_regions, _regions.Open(_address, LocalWorld.BytesFor(_size)), rank, _size, _terms);
        if (Interlocked.Increment(ref _joined) == _size)
        {
            _regions.Published(_region, _address);
            _region.Dispose();
        }

        return world;
    }
}
