using ShardSharp.Pipeline.Schedules;

namespace ShardSharp.Tests.Pipeline.Schedules;

/// <summary>What a schedule must be to run, tried with schedules that lack it.</summary>
public sealed class PipelineScheduleTests
{
    [Theory]
    [InlineData("0F0,0B0\n1B0,1F0", "rank 0 waits for ever before 0B0")]
    [InlineData("0F0,0B0\n1B0,1F0", "rank 1 waits for ever before 1B0")]
    [InlineData("0F0,0F1,0B1,0B0\n1F0,1B0,1F1", "stage 1 needs for microbatch 1 either 1B1, or 1I1 and 1W1")]
    [InlineData("0F0,0B0,0F0", "0F0 occurs 2 times")]
    [InlineData("0F0,0F1,0B0\n1F0,1B0,1F1,1B1", "stage 0 needs for microbatch 1")]
    [InlineData("0F0,0B0,0W0", "stage 0 needs for microbatch 0")]
    [InlineData("0F0,0I0", "stage 0 needs for microbatch 0")]
    [InlineData("0F0,0W0,0I0", "rank 0 waits for ever before 0W0")]
    [InlineData("0B0,0B1,0F1", "0F0 is missing")]
    public void A_schedule_that_cannot_run_is_refused_with_the_reason(string csv, string reason)
    {
        var message = Assert.Throws<ArgumentException>(() => ScheduleCsv.Parse("mine", csv)).Message;

        Assert.Contains("'mine' cannot run", message, StringComparison.Ordinal);
        Assert.Contains(reason, message, StringComparison.Ordinal);
    }

    [Fact]
    public void Actions_belong_to_the_rank_that_has_the_stage()
    {
        PipelineAction[] actions = [new(0, PipelineActionKind.Forward, 0), new(1, PipelineActionKind.Forward, 0)];

        var message = Assert.Throws<ArgumentException>(
            () => new PipelineSchedule("mine", StagePlacement.Loop(2), 1, [[actions[0], actions[1]], []])).Message;

        Assert.Contains("rank 0 has 1F0, but stage 1 is on rank 1", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Actions_outside_the_pipeline_are_refused()
    {
        Assert.Contains("stages 0 to 0", Refusal(new PipelineAction(3, PipelineActionKind.Forward, 0)), StringComparison.Ordinal);
        Assert.Contains("microbatches 0 to 0", Refusal(new PipelineAction(0, PipelineActionKind.Forward, 7)), StringComparison.Ordinal);

        static string Refusal(PipelineAction action) => Assert.Throws<ArgumentException>(
            () => new PipelineSchedule("mine", StagePlacement.Loop(1), 1, [[new(0, PipelineActionKind.Forward, 0), action]])).Message;
    }

    [Fact]
    public void Every_rank_needs_its_actions() => Assert.Contains(
        "actions for 1 ranks; its stages are on 2",
        Assert.Throws<ArgumentException>(() => new PipelineSchedule("mine", StagePlacement.Loop(2), 1, [[]])).Message,
        StringComparison.Ordinal);
}
