using ShardSharp.Topology;

namespace ShardSharp.Pipeline.Schedules;

/// <summary>Forwards alone, for evaluation.</summary>
internal static class ForwardOnlySchedule
{
    public static PipelineSchedule Create(int ranks, int microbatches) => new(
        PipelineScheduleName.Of(PipelineScheduleKind.ForwardOnly), StagePlacement.Loop(ranks), microbatches,
        [
            .. Enumerable.Range(0, ranks).Select(rank => Enumerable.Range(0, microbatches)
                .Select(microbatch => new PipelineAction(rank, PipelineActionKind.Forward, microbatch)).ToArray()),
        ]);
}
