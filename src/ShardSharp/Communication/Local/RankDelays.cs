namespace ShardSharp.Communication.Local;

/// <summary>How long each rank kept each other one waiting in collectives, in memory that all ranks see.</summary>
/// <remarks>
/// The time between a rank's arrival at a synchronisation point and the last member's counts against that last member. Only waits long
/// enough to sleep count: what is shorter, an even run has too.
/// </remarks>
/// <param name="memory">Zero at first.</param>
/// <param name="size">Ranks of the run.</param>
/// <param name="rank">The rank that waits.</param>
internal sealed unsafe class RankDelays(byte* memory, int size, int rank) : IRankDelays
{
    private struct Delay
    {
        public long Ticks;
        public long Times;
    }

    public static long BytesFor(int size) => (long)size * size * sizeof(Delay);

    /// <summary>Notes that this rank waited for another.</summary>
    public void Add(int awaited, long ticks)
    {
        var delay = At(rank, awaited);
        Interlocked.Add(ref delay->Ticks, ticks);
        Interlocked.Increment(ref delay->Times);
    }

    public (long Ticks, long Times) Of(int awaited) => Read(rank, awaited);

    public (long Ticks, long Times) OfAll(int awaited) => Enumerable.Range(0, size).Select(waiting => Read(waiting, awaited))
        .Aggregate((sum, one) => (sum.Ticks + one.Ticks, sum.Times + one.Times));

    private (long Ticks, long Times) Read(int waiting, int awaited)
    {
        var delay = At(waiting, awaited);
        return (Volatile.Read(ref delay->Ticks), Volatile.Read(ref delay->Times));
    }

    private Delay* At(int waiting, int awaited) => (Delay*)memory + ((long)waiting * size) + awaited;
}
