using ShardSharp.Topology;

namespace ShardSharp.Pipeline.Schedules;

/// <summary>
/// 1F1B over several stages ("virtual stages", "chunks") a rank, which divides the bubble by their number
/// (Narayanan et al., "Efficient Large-Scale Language Model Training on GPU Clusters Using Megatron-LM", arXiv:2104.04473).
/// </summary>
/// <remarks>
/// Microbatches pass in groups of at least as many as there are ranks; a group passes all stages of a rank before the next begins. The
/// paper wants equal groups of just that size. Larger ones, as equal as possible, allow any number of microbatches with the same bubble.
/// </remarks>
internal static class InterleavedChunksSchedule
{
    public static PipelineSchedule Create(int ranks, int microbatches, int chunks) => new(
        PipelineScheduleName.Of(PipelineScheduleKind.InterleavedChunks), StagePlacement.Loop(ranks, chunks), microbatches,
        [.. Enumerable.Range(0, ranks).Select(rank => Actions(rank, ranks, Groups(ranks, microbatches), chunks).ToArray())]);

    private static int[][] Groups(int ranks, int microbatches)
    {
        var count = Math.Max(1, microbatches / ranks);
        var (size, larger) = Math.DivRem(microbatches, count);
        return [.. Enumerable.Range(0, count).Select(group =>
            Enumerable.Range((group * size) + Math.Min(group, larger), size + (group < larger ? 1 : 0)).ToArray())];
    }

    private static IEnumerable<PipelineAction> Actions(int rank, int ranks, int[][] groups, int chunks)
    {
        var stages = Enumerable.Range(0, chunks).Select(chunk => (chunk * ranks) + rank).ToArray();
        var forwards = Pass(stages, PipelineActionKind.Forward);
        var backwards = Pass([.. stages.Reverse()], PipelineActionKind.Backward);

        // Until the first microbatch is through the last chunk, and its gradient is back.
        var warmup = Math.Min(forwards.Length, ((chunks - 1) * groups[0].Length) + (2 * (ranks - 1 - rank)) + 1);
        for (var step = 0; step < forwards.Length + warmup; step++)
        {
            if (step >= warmup)
                yield return backwards[step - warmup];
            if (step < forwards.Length)
                yield return forwards[step];
        }

        PipelineAction[] Pass(int[] order, PipelineActionKind kind) =>
        [
            .. from @group in groups
               from stage in order
               from microbatch in @group
               select new PipelineAction(stage, kind, microbatch),
        ];
    }
}
