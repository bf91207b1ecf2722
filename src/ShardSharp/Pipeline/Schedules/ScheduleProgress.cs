namespace ShardSharp.Pipeline.Schedules;

/// <summary>Which actions of a pipeline have been done, and which of the others that allows: the rules of dependence, once.</summary>
internal sealed class ScheduleProgress(StagePlacement placement, int microbatches)
{
    // When the action was finished; NaN where it has not been.
    private readonly double[] _forward = Unfinished(placement.Stages * microbatches);
    private readonly double[] _input = Unfinished(placement.Stages * microbatches);
    private readonly double[] _weight = Unfinished(placement.Stages * microbatches);

    /// <summary>The time from which on the action can run; null as long as something it needs has not been done.</summary>
    /// <param name="action">The action.</param>
    /// <param name="transfer">How long what one rank computed takes to another.</param>
    public double? ReadyAt(PipelineAction action, double transfer)
    {
        var (stage, microbatch) = (action.Stage, action.Microbatch);
        var ready = action.Kind switch
        {
            PipelineActionKind.Forward => stage == 0 ? 0 : Arrival(_forward, stage - 1, stage, microbatch, transfer),
            PipelineActionKind.WeightBackward => At(_input, stage, microbatch),
            _ => Math.Max(
                At(_forward, stage, microbatch),
                stage == placement.Stages - 1 ? 0 : Arrival(_input, stage + 1, stage, microbatch, transfer)),
        };
        return double.IsNaN(ready) ? null : ready;
    }

    /// <summary>Whether it has been done.</summary>
    public bool IsDone(PipelineAction action) => !double.IsNaN(action.Kind switch
    {
        PipelineActionKind.Forward => At(_forward, action.Stage, action.Microbatch),
        PipelineActionKind.WeightBackward => At(_weight, action.Stage, action.Microbatch),
        PipelineActionKind.InputBackward => At(_input, action.Stage, action.Microbatch),
        _ => At(_input, action.Stage, action.Microbatch) + At(_weight, action.Stage, action.Microbatch),
    });

    /// <summary>Notes that an action has been done.</summary>
    public void Finish(PipelineAction action, double time)
    {
        var index = (action.Stage * microbatches) + action.Microbatch;
        if (action.Kind == PipelineActionKind.Forward)
            _forward[index] = time;
        if (action.Kind is PipelineActionKind.Backward or PipelineActionKind.InputBackward)
            _input[index] = time;
        if (action.Kind is PipelineActionKind.Backward or PipelineActionKind.WeightBackward)
            _weight[index] = time;
    }

    private double Arrival(double[] finished, int from, int to, int microbatch, double transfer) =>
        At(finished, from, microbatch) + (placement.RankOf(from) == placement.RankOf(to) ? 0 : transfer);

    private double At(double[] finished, int stage, int microbatch) => finished[(stage * microbatches) + microbatch];

    private static double[] Unfinished(int count)
    {
        var times = new double[count];
        Array.Fill(times, double.NaN);
        return times;
    }
}
