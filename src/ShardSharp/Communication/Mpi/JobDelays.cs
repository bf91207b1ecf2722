using System.Diagnostics;
using ShardSharp.Communication.Local;

namespace ShardSharp.Communication.Mpi;

/// <summary>How long the ranks of a job waited for each other, on any hosts.</summary>
/// <remarks>
/// Hosts share no clock. Instead, when ranks tell each other what they call they also tell how long they waited for the others' word the
/// last time: the last to come then waited least, and what the others waited longer than it counts against it. So every member of a group
/// knows the waits of all of them.
/// </remarks>
/// <param name="size">Ranks of the job.</param>
/// <param name="host">What the ranks of this host share, where calls between them alone are counted; null while there is nothing.</param>
internal sealed class JobDelays(int size, Func<LocalWorld?> host) : IRankDelays
{
    /// <summary>What is shorter, an even run has too.</summary>
    private static readonly long Shortest = (long)(50e-6 * Stopwatch.Frequency);

    private readonly Lock _lock = new();
    private readonly (long Ticks, long Times)[] _mine = new (long, long)[size];
    private readonly (long Ticks, long Times)[] _all = new (long, long)[size];

    /// <summary>Takes in how long each member of a group waited the last time.</summary>
    public void Note(IReadOnlyList<int> globalRanks, int self, ReadOnlySpan<long> waited)
    {
        var last = 0;
        for (var member = 1; member < waited.Length; member++)
        {
            if (waited[member] < waited[last])
                last = member;
        }

        lock (_lock)
        {
            for (var member = 0; member < waited.Length; member++)
            {
                var lost = waited[member] - waited[last];
                if (lost < Shortest)
                    continue;
                Add(ref _all[globalRanks[last]], lost);
                if (member == self)
                    Add(ref _mine[globalRanks[last]], lost);
            }
        }
    }

    public (long Ticks, long Times) Of(int awaited) => Sum(_mine, awaited, (here, place) => here.Delays.Of(place));

    public (long Ticks, long Times) OfAll(int awaited) => Sum(_all, awaited, (here, place) => here.Delays.OfAll(place));

    private (long Ticks, long Times) Sum((long Ticks, long Times)[] job, int awaited, Func<LocalWorld, int, (long Ticks, long Times)> ofHost)
    {
        var here = host();
        var shared = here?.PlaceOf(awaited) is { } place ? ofHost(here, place) : default;
        lock (_lock)
            return (job[awaited].Ticks + shared.Ticks, job[awaited].Times + shared.Times);
    }

    private static void Add(ref (long Ticks, long Times) delay, long ticks) => delay = (delay.Ticks + ticks, delay.Times + 1);
}
