using System.Diagnostics;
using ShardSharp.Diagnostics;
using ShardSharp.Testing;

namespace ShardSharp.Tests.Diagnostics;

public sealed class StragglerReportTests
{
    public static TheoryData<RankBackend> Backends => [RankBackend.Threads, RankBackend.SharedMemory];

    [Fact]
    public void Names_a_rank_that_is_slow_again_and_again()
    {
        var report = Report(100, (Seconds(1), 10), (Seconds(60), 300), (Seconds(2), 12), (0, 0));
        var straggler = Assert.Single(report.Stragglers);
        Assert.Equal((1, TimeSpan.FromSeconds(60), 300L), (straggler.Rank, straggler.Waited, straggler.Times));
        Assert.Equal(60.0 / 63, straggler.Share, 6);
        Assert.Equal(0.2, straggler.LostFraction, 6);
        Assert.Equal([straggler], report.Extreme);
        Assert.Equal(
            "Rank 1 is persistently slower: 95 % of all waiting is for it (300 waits, 60.0 s), which costs the others 20 % of their time.",
            report.ToString());
    }

    [Fact]
    public void One_long_stop_makes_no_straggler() =>
        Assert.Empty(Report(100, (Seconds(50), 1), (Seconds(2), 30), (Seconds(2), 30), (Seconds(2), 30)).Stragglers);

    [Fact]
    public void Waits_that_are_spread_evenly_make_no_straggler()
    {
        var report = Report(100, (Seconds(50), 500), (Seconds(45), 480));
        Assert.Empty(report.Stragglers);
        Assert.Equal("No rank is persistently slower than the rest.", report.ToString());
        Assert.Equal(2, report.Ranks.Count);
    }

    [Fact]
    public void A_straggler_that_costs_little_is_not_extreme()
    {
        var report = Report(100, (0, 0), (Seconds(5), 1000));
        Assert.Single(report.Stragglers);
        Assert.Empty(report.Extreme);
    }

    [Fact]
    public void A_straggler_of_a_short_run_is_not_extreme()
    {
        var report = Report(19, (0, 0), (Seconds(9), 1000));
        Assert.Single(report.Stragglers);
        Assert.Empty(report.Extreme);
    }

    [Fact]
    public void A_run_without_waits_has_no_straggler() => Assert.Empty(Report(0, (0, 0), (0, 0)).Stragglers);

    [Theory]
    [MemberData(nameof(Backends))]
    public void Every_rank_learns_who_came_last(RankBackend backend)
    {
        var reports = new StragglerReport[2];
        RankHarness.RunSessions(
            2,
            session =>
            {
                var goesOn = new double[1];
                do
                {
                    if (session.Rank == 1)
                        WorkFor(TimeSpan.FromMilliseconds(1));
                    goesOn[0] = session.Rank == 1 && session.Groups.World.Delays!.OfAll(1).Times < 20 ? 1 : 0;
                    session.Groups.World.AllReduce(goesOn.AsSpan());
                }
                while (goesOn[0] > 0);
                reports[session.Rank] = session.StragglerReport();
            },
            options: new RankHarnessOptions { Backend = backend });
        Assert.Equal(reports[0].Ranks, reports[1].Ranks);
        Assert.InRange(reports[0].Ranks[1].Times, 20, long.MaxValue);
        Assert.InRange(reports[0].Ranks[1].Waited, TimeSpan.FromTicks(1), TimeSpan.MaxValue);
    }

    private static void WorkFor(TimeSpan time)
    {
        for (var started = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(started) < time;)
            Thread.SpinWait(10);
    }

    private static StragglerReport Report(double elapsed, params (long Ticks, long Times)[] delays) => new(delays, TimeSpan.FromSeconds(elapsed));

    private static long Seconds(int seconds) => seconds * Stopwatch.Frequency;
}
