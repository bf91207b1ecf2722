using ShardSharp.Pipeline.Schedules;

namespace ShardSharp.Pipeline.Runtime;

/// <summary>Which messages a rank gets from another, in the order in which the other sends them. It follows from the schedule.</summary>
internal static class MessageOrder
{
    /// <param name="schedule">The schedule of the step.</param>
    /// <param name="from">Rank that sends.</param>
    /// <param name="to">Rank that receives.</param>
    public static IEnumerable<BoundaryKey> Of(PipelineSchedule schedule, int from, int to)
    {
        var placement = schedule.Placement;
        foreach (var action in schedule.Actions[from])
        {
            if (KeyOf(action, placement) is { } key && placement.RankOf(key.Stage) == to)
                yield return key;
        }
    }

    /// <summary>The message that an action makes; null for none.</summary>
    public static BoundaryKey? KeyOf(PipelineAction action, StagePlacement placement) => action.Kind switch
    {
        PipelineActionKind.Forward when action.Stage < placement.Stages - 1 => new BoundaryKey(action.Stage + 1, false, action.Microbatch),
        PipelineActionKind.Backward or PipelineActionKind.InputBackward when action.Stage > 0 =>
            new BoundaryKey(action.Stage - 1, true, action.Microbatch),
        _ => null,
    };
}
