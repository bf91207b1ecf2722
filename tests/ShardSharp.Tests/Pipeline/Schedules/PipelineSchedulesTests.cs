using ShardSharp.Pipeline.Schedules;
using ShardSharp.Topology;

namespace ShardSharp.Tests.Pipeline.Schedules;

/// <summary>The built-in schedules: that each can run is proven by <see cref="PipelineSchedule"/> itself.</summary>
public sealed class PipelineSchedulesTests
{
    private static readonly PipelineScheduleKind[] Kinds = Enum.GetValues<PipelineScheduleKind>();

    [Fact]
    public void Every_schedule_can_run_with_any_number_of_ranks_and_microbatches()
    {
        foreach (var kind in Kinds)
        {
            for (var ranks = 1; ranks <= 8; ranks++)
            {
                for (var microbatches = 1; microbatches <= 20; microbatches++)
                    Assert.Equal(microbatches, PipelineSchedules.Create(kind, ranks, microbatches).Microbatches);
            }
        }
    }

    [Fact]
    public void Chunks_can_be_any_number()
    {
        for (var chunks = 1; chunks <= 5; chunks++)
        {
            for (var microbatches = 1; microbatches <= 20; microbatches++)
                Assert.Equal(4 * chunks, PipelineSchedules.Create(PipelineScheduleKind.InterleavedChunks, 4, microbatches, chunks).Placement.Stages);
        }
    }

    [Fact]
    public void Backwards_of_a_stage_follow_the_microbatches_in_every_schedule()
    {
        foreach (var kind in Kinds)
        {
            var schedule = PipelineSchedules.Create(kind, 4, 10);
            foreach (var ofStage in schedule.Actions.SelectMany(rank => rank).Where(IsLastPart).GroupBy(action => (action.Stage, action.Kind == PipelineActionKind.Forward)))
                Assert.Equal(Enumerable.Range(0, 10), ofStage.Select(action => action.Microbatch));

            // Gradients of parameters are added to theirs at the end of a backward.
            static bool IsLastPart(PipelineAction action) => action.Kind != PipelineActionKind.InputBackward;
        }
    }

    /// <summary>Idle time of a rank with forward = input gradient = weight gradient = 1; of p ranks, for any number of microbatches from p on.</summary>
    [Theory]
    [InlineData(PipelineScheduleKind.Simple, 3)]
    [InlineData(PipelineScheduleKind.Interleaved, 3)]
    [InlineData(PipelineScheduleKind.InterleavedDividedDrain, 2)]
    [InlineData(PipelineScheduleKind.InterleavedChunks, 3)]
    [InlineData(PipelineScheduleKind.ZeroBubbleH1, 1)]
    [InlineData(PipelineScheduleKind.ForwardOnly, 1)]
    public void The_bubble_is_that_of_the_paper(PipelineScheduleKind kind, int perRank)
    {
        for (var ranks = 1; ranks <= 8; ranks++)
        {
            foreach (var microbatches in new[] { ranks, ranks + 1, (2 * ranks) + 3, 4 * ranks })
            {
                var simulation = ScheduleSimulation.Run(PipelineSchedules.Create(kind, ranks, microbatches));
                var busy = simulation.Ranks[0].Sum(timed => timed.End - timed.Start);
                Assert.Equal((double)perRank * (ranks - 1), simulation.Makespan - busy);
            }
        }
    }

    /// <summary>Dividing a backward costs something, so none is divided for nothing.</summary>
    [Fact]
    public void The_drain_is_divided_no_further_than_it_pays()
    {
        var schedule = PipelineSchedules.Create(PipelineScheduleKind.InterleavedDividedDrain, 4, 6);
        var makespan = ScheduleSimulation.Run(schedule).Makespan;
        var divided = schedule.Actions.SelectMany(rank => rank).Where(action => action.Kind == PipelineActionKind.InputBackward).ToArray();
        Assert.Equal(3 + 2 + 1, divided.Length);
        foreach (var input in divided)
        {
            var whole = schedule.Actions.Select(rank => rank
                .Where(action => action != input with { Kind = PipelineActionKind.WeightBackward })
                .Select(action => action == input ? input with { Kind = PipelineActionKind.Backward } : action).ToArray()).ToArray();
            Assert.True(ScheduleSimulation.Run(new PipelineSchedule("one less", schedule.Placement, 6, whole)).Makespan > makespan, $"{input}");
        }
    }

    /// <summary>Besides the time until the first microbatch has come down to the last rank it is at most three actions of half a stage.</summary>
    [Fact]
    public void Zero_bubble_v_waits_hardly_longer_than_for_the_first_microbatch()
    {
        for (var ranks = 1; ranks <= 8; ranks++)
        {
            foreach (var microbatches in new[] { 2 * ranks, (2 * ranks) + 3, 4 * ranks })
            {
                var simulation = ScheduleSimulation.Run(PipelineSchedules.Create(PipelineScheduleKind.ZeroBubbleV, ranks, microbatches));
                Assert.InRange(simulation.Makespan - (6 * microbatches), ranks - 1, ranks + 2);
            }
        }
    }

    [Theory]
    [InlineData(PipelineScheduleKind.Simple, new double[] { 10, 10, 10, 10 })]
    [InlineData(PipelineScheduleKind.Interleaved, new double[] { 4, 3, 2, 1 })]
    [InlineData(PipelineScheduleKind.InterleavedDividedDrain, new double[] { 4, 3, 2, 1 })]
    [InlineData(PipelineScheduleKind.InterleavedChunks, new double[] { 12, 10, 8, 6 })]
    [InlineData(PipelineScheduleKind.ZeroBubbleH1, new double[] { 4, 4, 4, 4 })]
    [InlineData(PipelineScheduleKind.ZeroBubbleV, new double[] { 8, 8, 8, 8 })]
    [InlineData(PipelineScheduleKind.ForwardOnly, new double[] { 1, 1, 1, 1 })]
    public void Activations_are_kept_for_as_many_microbatches_as_the_paper_says(PipelineScheduleKind kind, double[] peaks) =>
        Assert.Equal(peaks, ScheduleSimulation.Run(PipelineSchedules.Create(kind, 4, 10)).PeakActivations);

    [Fact]
    public void The_limit_of_active_microbatches_holds()
    {
        foreach (var kind in new[]
        {
            PipelineScheduleKind.Simple, PipelineScheduleKind.Interleaved, PipelineScheduleKind.InterleavedDividedDrain, PipelineScheduleKind.ZeroBubbleH1,
        })
        {
            for (var active = 1; active <= 5; active++)
                Assert.True(ScheduleSimulation.Run(PipelineSchedules.Create(kind, 4, 10, activeMicrobatches: active)).PeakActivations.Max() <= active);
        }
    }

    [Theory]
    [InlineData(PipelineScheduleKind.InterleavedChunks, 5)]
    [InlineData(PipelineScheduleKind.ZeroBubbleV, 3)]
    public void A_limit_that_a_schedule_cannot_keep_is_refused_with_what_it_needs(PipelineScheduleKind kind, int active)
    {
        var message = Assert.Throws<ArgumentException>(() => PipelineSchedules.Create(kind, 4, 10, activeMicrobatches: active)).Message;

        Assert.Contains($"up to {active + 1} microbatches", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Chunks_belong_to_one_schedule() => Assert.Throws<ArgumentException>(
        () => PipelineSchedules.Create(PipelineScheduleKind.Simple, 4, 10, chunks: 2));

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 0)]
    public void Numbers_below_one_are_refused(int ranks, int microbatches) => Assert.Throws<ArgumentOutOfRangeException>(
        () => PipelineSchedules.Create(PipelineScheduleKind.Interleaved, ranks, microbatches));

    /// <summary>The files change only on purpose: <c>UPDATE_DOCUMENTS=1</c> writes them.</summary>
    [Fact]
    public void Schedules_are_as_verified()
    {
        foreach (var kind in Kinds)
        {
            var simulation = ScheduleSimulation.Run(PipelineSchedules.Create(kind, 4, 8));
            var text = $"{ScheduleTimeline.Title(simulation)}\n\n{ScheduleTimeline.ToText(simulation)}\n{simulation.Schedule}";
            var file = $"tests/ShardSharp.Tests/Pipeline/Schedules/Verified/{PipelineScheduleName.Of(kind)}.txt";
            if (Repository.IsUpdating)
                File.WriteAllText(Repository.PathOf(file), text);
            Assert.Equal(Repository.Read(file), text);
        }
    }
}
