using System.Text;

namespace ShardSharp.Pipeline.Schedules;

/// <summary>
/// In which order each rank of a pipeline computes: a list of actions per rank and nothing else. Who sends what to whom follows from it.
/// </summary>
/// <remarks>
/// The constructor proves that the schedule can run: every microbatch passes every stage forward and backward exactly once, on the rank
/// that has the stage, and no rank ever waits for something that comes after what it holds up itself.
/// </remarks>
public sealed class PipelineSchedule
{
    /// <param name="name">What the schedule is called in output.</param>
    /// <param name="placement">Which rank runs which stages.</param>
    /// <param name="microbatches">Microbatches of a step.</param>
    /// <param name="actions">Each rank's actions in order.</param>
    /// <exception cref="ArgumentException">The schedule cannot run; the message lists every reason found.</exception>
    public PipelineSchedule(string name, StagePlacement placement, int microbatches, IReadOnlyList<IReadOnlyList<PipelineAction>> actions)
    {
        ArgumentNullException.ThrowIfNull(placement);
        ArgumentNullException.ThrowIfNull(actions);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(microbatches);
        (Name, Placement, Microbatches, Actions) = (name, placement, microbatches, actions);
        var problems = ScheduleValidator.Problems(this);
        if (problems.Count > 0)
        {
            throw new ArgumentException(
                $"The schedule '{name}' cannot run:{string.Concat(problems.Select(problem => $"{Environment.NewLine}- {problem}"))}", nameof(actions));
        }
    }

    /// <summary>What the schedule is called in output.</summary>
    public string Name { get; }

    /// <summary>Which rank runs which stages.</summary>
    public StagePlacement Placement { get; }

    /// <summary>Microbatches of a step.</summary>
    public int Microbatches { get; }

    /// <summary>Each rank's actions in order.</summary>
    public IReadOnlyList<IReadOnlyList<PipelineAction>> Actions { get; }

    /// <summary>Whether it computes gradients; without, it is for evaluation.</summary>
    public bool HasBackward => Actions.Any(rank => rank.Any(action => action.Kind != PipelineActionKind.Forward));

    /// <summary>A line per rank, its actions separated by commas; <see cref="ScheduleCsv"/> reads it.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        foreach (var rank in Actions)
            text.AppendJoin(',', rank).Append('\n');
        return text.ToString();
    }
}
