namespace ShardSharp.Pipeline.Schedules;

/// <summary>Proves that a schedule is complete and cannot deadlock.</summary>
internal static class ScheduleValidator
{
    private const int MostListed = 10;

    /// <summary>What keeps the schedule from running; nothing if it can.</summary>
    public static IReadOnlyList<string> Problems(PipelineSchedule schedule)
    {
        if (schedule.Actions.Count != schedule.Placement.Ranks)
            return [$"it has actions for {schedule.Actions.Count} ranks; its stages are on {schedule.Placement.Ranks}."];
        var problems = Misplaced(schedule).Concat(Incomplete(schedule)).Take(MostListed).ToList();
        return problems.Count > 0 ? problems : Deadlock(schedule);
    }

    private static IEnumerable<string> Misplaced(PipelineSchedule schedule)
    {
        for (var rank = 0; rank < schedule.Actions.Count; rank++)
        {
            foreach (var action in schedule.Actions[rank])
            {
                if (action.Stage >= schedule.Placement.Stages || action.Stage < 0)
                    yield return $"rank {rank} has {action}, but there are stages 0 to {schedule.Placement.Stages - 1}.";
                else if (action.Microbatch >= schedule.Microbatches || action.Microbatch < 0)
                    yield return $"rank {rank} has {action}, but there are microbatches 0 to {schedule.Microbatches - 1}.";
                else if (schedule.Placement.RankOf(action.Stage) != rank)
                    yield return $"rank {rank} has {action}, but stage {action.Stage} is on rank {schedule.Placement.RankOf(action.Stage)}.";
            }
        }
    }

    private static IEnumerable<string> Incomplete(PipelineSchedule schedule)
    {
        var counts = schedule.Actions.SelectMany(rank => rank).CountBy(action => action).ToDictionary();
        foreach (var (action, count) in counts.Where(pair => pair.Value > 1))
            yield return $"{action} occurs {count} times.";
        for (var stage = 0; stage < schedule.Placement.Stages; stage++)
        {
            for (var microbatch = 0; microbatch < schedule.Microbatches; microbatch++)
            {
                if (!Has(PipelineActionKind.Forward))
                    yield return $"{new PipelineAction(stage, PipelineActionKind.Forward, microbatch)} is missing.";
                if (!schedule.HasBackward)
                    continue;
                var (whole, input, weight) = (
                    Has(PipelineActionKind.Backward), Has(PipelineActionKind.InputBackward), Has(PipelineActionKind.WeightBackward));
                if (input != weight || whole == input)
                {
                    yield return $"stage {stage} needs for microbatch {microbatch} either {stage}B{microbatch}, or {stage}I{microbatch} and "
                        + $"{stage}W{microbatch}.";
                }

                bool Has(PipelineActionKind kind) => counts.ContainsKey(new PipelineAction(stage, kind, microbatch));
            }
        }
    }

    private static List<string> Deadlock(PipelineSchedule schedule)
    {
        var progress = new ScheduleProgress(schedule.Placement, schedule.Microbatches);
        var next = new int[schedule.Actions.Count];
        bool moved;
        do
        {
            moved = false;
            for (var rank = 0; rank < next.Length; rank++)
            {
                var actions = schedule.Actions[rank];
                for (; next[rank] < actions.Count && progress.ReadyAt(actions[next[rank]], 0) is not null; next[rank]++, moved = true)
                    progress.Finish(actions[next[rank]], 0);
            }
        }
        while (moved);

        return [.. Enumerable.Range(0, next.Length)
            .Where(rank => next[rank] < schedule.Actions[rank].Count)
            .Select(rank => $"rank {rank} waits for ever before {schedule.Actions[rank][next[rank]]}.")];
    }
}
