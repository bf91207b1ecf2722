using ShardSharp.Topology;

namespace ShardSharp.Pipeline.Schedules;

/// <summary>
/// 1F1B whose backwards of the weights fill the time in which a rank would wait: a third of the bubble for the memory of the first rank
/// on every rank (Qi et al., "Zero Bubble Pipeline Parallelism", arXiv:2401.10241, section 2.1, ZB-H1).
/// </summary>
internal static class ZeroBubbleH1Schedule
{
    /// <param name="ranks">Ranks, each with one stage.</param>
    /// <param name="microbatches">Microbatches of a step.</param>
    /// <param name="active">The most in flight on a rank.</param>
    public static PipelineSchedule Create(int ranks, int microbatches, int active)
    {
        // Nobody waits for gradients of the first stage's inputs.
        var first = OneForwardOneBackwardSchedule.Actions(rank: 0, Math.Min(ranks, active), microbatches, dividesDrain: false);
        return new PipelineSchedule(
            PipelineScheduleName.Of(PipelineScheduleKind.ZeroBubbleH1), StagePlacement.Loop(ranks), microbatches,
            [first.ToArray(), .. Enumerable.Range(1, ranks - 1).Select(rank => Actions(rank).ToArray())]);

        IEnumerable<PipelineAction> Actions(int rank)
        {
            // The later a rank's first backward, the fewer forwards it has behind, and the longer it can put off the weights.
            var warmup = Math.Min(ranks - rank, active);
            var delay = Math.Min(rank, active - warmup);
            for (var step = 0; step < microbatches + warmup + delay; step++)
            {
                var (input, weight) = (step - warmup, step - warmup - delay);
                if (input >= 0 && input < microbatches)
                    yield return new PipelineAction(rank, PipelineActionKind.InputBackward, input);
                if (weight >= 0)
                    yield return new PipelineAction(rank, PipelineActionKind.WeightBackward, weight);
                if (step < microbatches)
                    yield return new PipelineAction(rank, PipelineActionKind.Forward, step);
            }
        }
    }
}
