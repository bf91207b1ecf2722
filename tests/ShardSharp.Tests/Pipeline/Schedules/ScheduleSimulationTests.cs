using ShardSharp.Pipeline.Schedules;
using ShardSharp.Topology;

namespace ShardSharp.Tests.Pipeline.Schedules;

public sealed class ScheduleSimulationTests
{
    /// <summary>Two stages of 1 + 2 and 2 + 4, two microbatches, half a unit from rank to rank; worked out by hand.</summary>
    [Fact]
    public void Times_follow_from_costs_and_transfers()
    {
        var schedule = PipelineSchedules.Create(PipelineScheduleKind.Interleaved, 2, 2);
        StageCost[] costs = [new(1, 1, 1, 10), new(2, 2, 2, 3)];

        var simulation = ScheduleSimulation.Run(schedule, costs, transfer: 0.5);

        Assert.Equal(["0F0 0-1", "0F1 1-2", "0B0 8-10", "0B1 14-16"], Shown(0));
        Assert.Equal(["1F0 1.5-3.5", "1B0 3.5-7.5", "1F1 7.5-9.5", "1B1 9.5-13.5"], Shown(1));
        Assert.Equal(16, simulation.Makespan);
        Assert.Equal(1 - ((6 + 12) / 32.0), simulation.Bubble, 12);
        Assert.Equal([20, 3], simulation.PeakActivations);

        string[] Shown(int rank) => [.. simulation.Ranks[rank].Select(timed => FormattableString.Invariant($"{timed.Action} {timed.Start}-{timed.End}"))];
    }

    /// <summary>Rank 0 does 0F0 0F1 0B0 0B1, rank 1 does 1F0 1I0 1F1 1I1 1W0 1W1.</summary>
    [Fact]
    public void What_the_first_part_of_a_backward_leaves_behind_counts_until_the_second()
    {
        StageCost[] costs = [.. Enumerable.Repeat(new StageCost(Activations: 10) { Deferred = 4 }, 2)];

        var simulation = ScheduleSimulation.Run(PipelineSchedules.Create(PipelineScheduleKind.ZeroBubbleH1, 2, 2), costs);

        Assert.Equal([20, 28], simulation.PeakActivations);
    }

    /// <summary>Rank 1 does 1F0 1B0 1F1 1I1 1W1; the parts of its backward take 3 together, the whole one 2.5.</summary>
    [Fact]
    public void Dividing_a_backward_may_cost_something()
    {
        StageCost[] costs = [.. Enumerable.Repeat(new StageCost(1, 1, 2) { WholeBackward = 2.5 }, 2)];

        var simulation = ScheduleSimulation.Run(PipelineSchedules.Create(PipelineScheduleKind.InterleavedDividedDrain, 2, 2), costs);

        Assert.Equal([1, 2, 4.5, 5.5, 6.5], simulation.Ranks[1].Select(timed => timed.Start));
        Assert.Equal(9.5, simulation.Makespan);
    }

    [Fact]
    public void Every_stage_needs_a_cost() => Assert.Contains(
        "2 stages and costs of 1",
        Assert.Throws<ArgumentException>(() => ScheduleSimulation.Run(PipelineSchedules.Create(PipelineScheduleKind.Simple, 2, 1), [new()])).Message,
        StringComparison.Ordinal);

    [Fact]
    public void A_zero_bubble_schedule_is_faster_than_1F1B_as_long_as_weights_take_time()
    {
        StageCost[] costs = [.. Enumerable.Repeat(new StageCost(1, 1.2, 0.8), 4)];

        var plain = ScheduleSimulation.Run(PipelineSchedules.Create(PipelineScheduleKind.Interleaved, 4, 8), costs);
        var zeroBubble = ScheduleSimulation.Run(PipelineSchedules.Create(PipelineScheduleKind.ZeroBubbleH1, 4, 8), costs);

        // 1F1B waits (p - 1)(F + B) of a rank's time.
        Assert.Equal((8 * 3) + (3 * 3), plain.Makespan, 9);
        Assert.True(zeroBubble.Makespan < plain.Makespan - 3);
    }
}
