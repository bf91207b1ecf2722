using System.Diagnostics;
using System.Globalization;

namespace ShardSharp.Diagnostics;

/// <summary>Which ranks the others wait for.</summary>
/// <remarks>
/// <para>A straggler is the last to come in 1.5 times as many waits as its fair share (1 / number of ranks), and causes 1.5 times its fair
/// share of the time waited: one long stop, to load data say, makes none.</para>
/// <para>An extreme one costs the average other rank at least 10 % of the run, and 10 s, in at least 20 waits; the first rank says so at the
/// end of a run. Waits of less than some 50 us do not count.</para>
/// </remarks>
public sealed class StragglerReport
{
    private const double Excess = 1.5;
    private const double ExtremeLoss = 0.1;
    private const long ExtremeTimes = 20;

    /// <summary>In a shorter time any rank of a busy machine may be unlucky, and nobody would look for the reason.</summary>
    private static readonly TimeSpan ExtremeWait = TimeSpan.FromSeconds(10);

    /// <param name="delays">For each rank the <see cref="Stopwatch"/> ticks that others waited for it, and how often.</param>
    /// <param name="elapsed">How long the run has taken so far.</param>
    internal StragglerReport(IReadOnlyList<(long Ticks, long Times)> delays, TimeSpan elapsed)
    {
        var (allTicks, allTimes) = (Math.Max(1.0, delays.Sum(delay => delay.Ticks)), Math.Max(1.0, delays.Sum(delay => delay.Times)));
        Ranks = [.. delays.Select((delay, rank) => Describe(rank, delay.Ticks, delay.Times, allTicks, elapsed, delays.Count))];
        var fair = Excess / delays.Count;
        Stragglers = [.. Ranks.Where(rank => rank.Share >= fair && rank.Times / allTimes >= fair && delays.Count > 1)
            .OrderByDescending(rank => rank.Share)];
    }

    /// <summary>All ranks, in their order.</summary>
    public IReadOnlyList<RankDelay> Ranks { get; }

    /// <summary>The ranks that are slower than the rest again and again, the worst first; none where waits are spread evenly.</summary>
    public IReadOnlyList<RankDelay> Stragglers { get; }

    /// <summary>The stragglers that cost so much that someone should look.</summary>
    internal IEnumerable<RankDelay> Extreme => Stragglers.Where(rank =>
        rank is { LostFraction: >= ExtremeLoss, Times: >= ExtremeTimes } && rank.Waited >= (Ranks.Count - 1) * ExtremeWait);

    /// <summary>The stragglers, a line each.</summary>
    public override string ToString() => Stragglers.Count == 0
        ? "No rank is persistently slower than the rest."
        : string.Join(Environment.NewLine, Stragglers.Select(Line));

    internal static string Line(RankDelay rank) => string.Create(
        CultureInfo.InvariantCulture,
        $"Rank {rank.Rank} is persistently slower: {rank.Share:P0} of all waiting is for it ({rank.Times} waits, {rank.Waited.TotalSeconds:F1} s), "
        + $"which costs the others {rank.LostFraction:P0} of their time.");

    private static RankDelay Describe(int rank, long ticks, long times, double allTicks, TimeSpan elapsed, int ranks)
    {
        var waited = Stopwatch.GetElapsedTime(0, ticks);
        var lost = waited / Math.Max(1, ranks - 1) / (elapsed > TimeSpan.Zero ? elapsed : TimeSpan.MaxValue);
        return new RankDelay(rank, waited, times, ticks / allTicks, lost);
    }
}
