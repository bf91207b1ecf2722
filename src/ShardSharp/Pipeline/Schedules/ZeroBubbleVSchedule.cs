using ShardSharp.Topology;

namespace ShardSharp.Pipeline.Schedules;

/// <summary>
/// Two stages a rank, down the ranks and up again, with the backward in two parts: the first rank has the loss, so that the first gradients
/// come back early, and all ranks need the same memory (Qi et al., "Zero Bubble Pipeline Parallelism", arXiv:2401.10241, section 6, ZB-V).
/// </summary>
/// <remarks>
/// Actions are chosen as they become possible when each takes the same time: the input gradient of a later stage first, then a forward
/// while memory lasts, and the weights when there is nothing else. Memory is that of 1F1B: two half stages for each rank.
/// </remarks>
internal static class ZeroBubbleVSchedule
{
    public static PipelineSchedule Create(int ranks, int microbatches)
    {
        var placement = StagePlacement.V(ranks);
        var progress = new ScheduleProgress(placement, microbatches);
        var ranksOf = Enumerable.Range(0, ranks).Select(rank => new Rank(placement, rank, microbatches)).ToArray();
        for (var time = 0; ranksOf.Any(rank => !rank.IsDone); time++)
        {
            foreach (var rank in ranksOf)
                rank.Choose(progress, time);
        }

        return new PipelineSchedule(PipelineScheduleName.Of(PipelineScheduleKind.ZeroBubbleV), placement, microbatches, [.. ranksOf.Select(rank => rank.Actions)]);
    }

    private sealed class Rank(StagePlacement placement, int rank, int microbatches)
    {
        // The stage nearest to the loss first.
        private readonly int[] _stages = [.. placement.StagesOf(rank).Reverse()];
        private readonly int[,] _next = new int[placement.Stages, 4];
        private int _held;

        public List<PipelineAction> Actions { get; } = [];

        public bool IsDone => _stages.All(stage => Next(stage, PipelineActionKind.WeightBackward) == microbatches);

        public void Choose(ScheduleProgress progress, int time)
        {
            if (TryRun(PipelineActionKind.InputBackward, progress, time))
                return;
            if (_held < 2 * placement.Ranks && TryRun(PipelineActionKind.Forward, progress, time))
                _held++;
            else if (TryRun(PipelineActionKind.WeightBackward, progress, time))
                _held--;
        }

        private bool TryRun(PipelineActionKind kind, ScheduleProgress progress, int time)
        {
            foreach (var stage in _stages)
            {
                var action = new PipelineAction(stage, kind, Next(stage, kind));
                if (action.Microbatch == microbatches || LeavesNoRoom(action) || !(progress.ReadyAt(action, 0) <= time))
                    continue;
                Actions.Add(action);
                _next[stage, (int)kind]++;
                progress.Finish(action, time + 1);
                return true;
            }

            return false;
        }

        /// <summary>Were a rank full of the first half of microbatches, it would have no room for the second half of any.</summary>
        private bool LeavesNoRoom(PipelineAction action) =>
            action.Kind == PipelineActionKind.Forward && action.Stage < placement.Ranks
            && action.Microbatch - Next(action.Stage, PipelineActionKind.InputBackward) >= (2 * placement.Ranks) - 1 - rank;

        private int Next(int stage, PipelineActionKind kind) => _next[stage, (int)kind];
    }
}
