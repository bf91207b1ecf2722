using ShardSharp.Topology;

namespace ShardSharp.Pipeline.Schedules;

/// <summary>
/// After a warm-up a forward and a backward in turn, so that a rank keeps no more activations than there are stages behind it
/// (Narayanan et al., "Memory-Efficient Pipeline-Parallel DNN Training", arXiv:2006.09503, PipeDream-Flush).
/// </summary>
internal static class OneForwardOneBackwardSchedule
{
    /// <param name="ranks">Ranks, each with one stage.</param>
    /// <param name="microbatches">Microbatches of a step.</param>
    /// <param name="active">The most in flight on a rank.</param>
    public static PipelineSchedule Create(int ranks, int microbatches, int active) => new(
        PipelineScheduleName.Of(PipelineScheduleKind.Interleaved), StagePlacement.Loop(ranks), microbatches,
        [.. Enumerable.Range(0, ranks).Select(rank => Actions(rank, Math.Min(ranks - rank, active), microbatches).ToArray())]);

    private static IEnumerable<PipelineAction> Actions(int rank, int warmup, int microbatches)
    {
        for (var step = 0; step < microbatches + warmup; step++)
        {
            if (step >= warmup)
                yield return new PipelineAction(rank, PipelineActionKind.Backward, step - warmup);
            if (step < microbatches)
                yield return new PipelineAction(rank, PipelineActionKind.Forward, step);
        }
    }
}
