namespace ShardSharp.Pipeline.Schedules;

/// <summary>Schedules as comma-separated text: a line per rank, its actions in order, such as <c>0F0,0F1,0B0,0B1</c>.</summary>
public static class ScheduleCsv
{
    /// <summary>Reads a schedule. Stages, ranks and microbatches follow from the actions; empty cells are skipped.</summary>
    /// <param name="name">What to call it.</param>
    /// <param name="text">The lines; those that are empty or begin with <c>#</c> are skipped.</param>
    /// <exception cref="FormatException">A cell is not an action, or a stage is on no rank or on two; the message names the line.</exception>
    /// <exception cref="ArgumentException">The schedule cannot run; the message lists every reason found.</exception>
    public static PipelineSchedule Parse(string name, string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var ranks = new List<PipelineAction[]>();
        var rankOfStage = new SortedDictionary<int, int>();
        foreach (var (index, line) in text.ReplaceLineEndings("\n").Split('\n').Index())
        {
            if (string.IsNullOrWhiteSpace(line) || line.StartsWith('#'))
                continue;
            try
            {
                ranks.Add([.. line.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(PipelineAction.Parse)]);
            }
            catch (FormatException wrong)
            {
                throw new FormatException($"Line {index + 1}: {wrong.Message}", wrong);
            }

            foreach (var stage in ranks[^1].Select(action => action.Stage).Distinct())
            {
                if (!rankOfStage.TryAdd(stage, ranks.Count - 1))
                    throw new FormatException($"Line {index + 1}: stage {stage} is on rank {rankOfStage[stage]} already.");
            }
        }

        if (rankOfStage.Count == 0)
            throw new FormatException("There is no action in the schedule; write a line per rank, such as 0F0,0F1,0B0,0B1.");
        if (rankOfStage.Keys.Last() != rankOfStage.Count - 1)
            throw new FormatException($"Stage {rankOfStage.Keys.Index().First(pair => pair.Index != pair.Item).Index} is on no rank.");
        return new PipelineSchedule(
            name, StagePlacement.Of([.. rankOfStage.Values]), 1 + ranks.Max(rank => rank.Max(action => action.Microbatch)), ranks);
    }
}
