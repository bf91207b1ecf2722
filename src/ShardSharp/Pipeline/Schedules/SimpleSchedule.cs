using ShardSharp.Topology;

namespace ShardSharp.Pipeline.Schedules;

/// <summary>Every forward, then every backward (Huang et al., "GPipe", arXiv:1811.06965).</summary>
internal static class SimpleSchedule
{
    /// <param name="ranks">Ranks, each with one stage.</param>
    /// <param name="microbatches">Microbatches of a step.</param>
    /// <param name="active">The most in flight: beyond it the step is run in several rounds.</param>
    public static PipelineSchedule Create(int ranks, int microbatches, int active) => new(
        PipelineScheduleName.Of(PipelineScheduleKind.Simple), StagePlacement.Loop(ranks), microbatches,
        [.. Enumerable.Range(0, ranks).Select(rank => Rounds(rank, microbatches, active).ToArray())]);

    private static IEnumerable<PipelineAction> Rounds(int rank, int microbatches, int active) => Enumerable.Range(0, microbatches)
        .Chunk(active)
        .SelectMany(round => round
            .Select(microbatch => new PipelineAction(rank, PipelineActionKind.Forward, microbatch))
            .Concat(round.Select(microbatch => new PipelineAction(rank, PipelineActionKind.Backward, microbatch))));
}
