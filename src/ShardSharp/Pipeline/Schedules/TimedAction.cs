namespace ShardSharp.Pipeline.Schedules;

/// <summary>An action and when it runs.</summary>
/// <param name="Action">The action.</param>
/// <param name="Start">When it begins; the first action of a schedule begins at 0.</param>
/// <param name="End">When it is over.</param>
public readonly record struct TimedAction(PipelineAction Action, double Start, double End);
