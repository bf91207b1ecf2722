using ShardSharp.Topology;

namespace ShardSharp.Pipeline.Schedules;

/// <summary>
/// After a warm-up a forward and a backward in turn, so that a rank keeps no more activations than there are stages behind it
/// (Narayanan et al., "Memory-Efficient Pipeline-Parallel DNN Training", arXiv:2006.09503, PipeDream-Flush).
/// </summary>
/// <remarks>
/// When a rank has no forward left, the rank before it has little to do but to wait for its gradients. Then, if the drain is divided, those of the inputs
/// are computed first, and those of the parameters directly after: a third of the drain is gone, and no activation is kept for longer.
/// </remarks>
internal static class OneForwardOneBackwardSchedule
{
    /// <param name="ranks">Ranks, each with one stage.</param>
    /// <param name="microbatches">Microbatches of a step.</param>
    /// <param name="active">The most in flight on a rank.</param>
    /// <param name="dividesDrain">Whether the backwards after a rank's last forward are divided, where another rank waits for them.</param>
    public static PipelineSchedule Create(int ranks, int microbatches, int active, bool dividesDrain) => new(
        PipelineScheduleName.Of(dividesDrain ? PipelineScheduleKind.InterleavedDividedDrain : PipelineScheduleKind.Interleaved),
        StagePlacement.Loop(ranks), microbatches,
        [.. Enumerable.Range(0, ranks).Select(rank => Actions(rank, Math.Min(ranks - rank, active), microbatches, dividesDrain && rank > 0).ToArray())]);

    /// <summary>The actions of one rank.</summary>
    /// <param name="rank">The rank, which has the stage of that number.</param>
    /// <param name="warmup">Forwards before its first backward.</param>
    /// <param name="microbatches">Microbatches of a step.</param>
    /// <param name="dividesDrain">Whether the backwards after its last forward are divided.</param>
    public static IEnumerable<PipelineAction> Actions(int rank, int warmup, int microbatches, bool dividesDrain)
    {
        for (var step = 0; step < microbatches + warmup; step++)
        {
            if (step >= warmup && step >= microbatches && dividesDrain)
            {
                yield return new PipelineAction(rank, PipelineActionKind.InputBackward, step - warmup);
                yield return new PipelineAction(rank, PipelineActionKind.WeightBackward, step - warmup);
            }
            else if (step >= warmup)
            {
                yield return new PipelineAction(rank, PipelineActionKind.Backward, step - warmup);
            }

            if (step < microbatches)
                yield return new PipelineAction(rank, PipelineActionKind.Forward, step);
        }
    }
}
