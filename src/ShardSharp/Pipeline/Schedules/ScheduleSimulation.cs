namespace ShardSharp.Pipeline.Schedules;

/// <summary>When each action of a schedule would run, given what the stages cost.</summary>
public sealed class ScheduleSimulation
{
    private ScheduleSimulation(PipelineSchedule schedule, IReadOnlyList<IReadOnlyList<TimedAction>> ranks, IReadOnlyList<double> peaks)
    {
        (Schedule, Ranks, PeakActivations) = (schedule, ranks, peaks);
        Makespan = ranks.Max(actions => actions.Count == 0 ? 0 : actions[^1].End);
        var busy = ranks.Sum(actions => actions.Sum(action => action.End - action.Start));
        Bubble = Makespan == 0 ? 0 : 1 - (busy / (Makespan * ranks.Count));
    }

    /// <summary>The schedule.</summary>
    public PipelineSchedule Schedule { get; }

    /// <summary>Each rank's actions with their times.</summary>
    public IReadOnlyList<IReadOnlyList<TimedAction>> Ranks { get; }

    /// <summary>Time from the first action to the end of the last.</summary>
    public double Makespan { get; }

    /// <summary>The part of the ranks' time in which they wait, 0 to 1.</summary>
    public double Bubble { get; }

    /// <summary>The most memory for activations that each rank needs at once.</summary>
    public IReadOnlyList<double> PeakActivations { get; }

    /// <summary>Runs a schedule on paper: every action as soon as its rank is free and what it needs has arrived.</summary>
    /// <param name="schedule">The schedule.</param>
    /// <param name="costs">What each stage costs; null for 1 of everything.</param>
    /// <param name="transfer">Time from the end of an action on one rank to its result on another.</param>
    /// <exception cref="ArgumentException">There are not as many costs as stages.</exception>
    public static ScheduleSimulation Run(PipelineSchedule schedule, IReadOnlyList<StageCost>? costs = null, double transfer = 0)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        var placement = schedule.Placement;
        costs ??= [.. Enumerable.Repeat(new StageCost(), placement.Stages)];
        if (costs.Count != placement.Stages)
            throw new ArgumentException($"There are {placement.Stages} stages and costs of {costs.Count}.", nameof(costs));

        var progress = new ScheduleProgress(placement, schedule.Microbatches);
        var timed = schedule.Actions.Select(_ => new List<TimedAction>()).ToArray();
        for (var left = schedule.Actions.Sum(actions => actions.Count); left > 0;)
        {
            for (var rank = 0; rank < timed.Length; rank++)
            {
                var (actions, done) = (schedule.Actions[rank], timed[rank]);
                while (done.Count < actions.Count && progress.ReadyAt(actions[done.Count], transfer) is { } ready)
                {
                    var action = actions[done.Count];
                    var start = Math.Max(ready, done.Count == 0 ? 0 : done[^1].End);
                    done.Add(new TimedAction(action, start, start + costs[action.Stage].TimeOf(action.Kind)));
                    progress.Finish(action, done[^1].End);
                    left--;
                }
            }
        }

        return new ScheduleSimulation(schedule, timed, [.. schedule.Actions.Select(actions => Peak(actions, costs, schedule.HasBackward))]);
    }

    /// <summary>Without a backward nothing is kept beyond the forward itself.</summary>
    private static double Peak(IReadOnlyList<PipelineAction> actions, IReadOnlyList<StageCost> costs, bool isKept)
    {
        var (held, most) = (0.0, 0.0);
        foreach (var action in actions)
        {
            if (!isKept)
                held = 0;
            var cost = costs[action.Stage];
            held += action.Kind switch
            {
                PipelineActionKind.Forward => cost.Activations,
                PipelineActionKind.InputBackward => cost.Deferred,
                PipelineActionKind.WeightBackward => -cost.Activations - cost.Deferred,
                _ => -cost.Activations,
            };
            most = Math.Max(most, held);
        }

        return most;
    }
}
