namespace ShardSharp.Pipeline.Schedules;

/// <summary>What a stage costs for one microbatch, in any one unit of time and any one unit of memory.</summary>
/// <param name="Forward">Time of the forward.</param>
/// <param name="InputBackward">Time of the gradients of the inputs.</param>
/// <param name="WeightBackward">Time of the gradients of the parameters; a whole backward takes both, unless told otherwise.</param>
/// <param name="Activations">Memory that forward leaves behind until the backward is over.</param>
public sealed record StageCost(double Forward = 1, double InputBackward = 1, double WeightBackward = 1, double Activations = 1)
{
    /// <summary>Memory that the gradients of the inputs leave behind, on top of the activations, until those of the parameters have been computed.</summary>
    /// <value>0 by default.</value>
    public double Deferred { get; init; }

    /// <summary>Time of a whole backward, where that is not the sum of its parts: dividing it costs something.</summary>
    /// <value>Null, by default, for the sum.</value>
    public double? WholeBackward { get; init; }

    /// <summary>The time of an action.</summary>
    /// <param name="kind">What is computed.</param>
    public double TimeOf(PipelineActionKind kind) => kind switch
    {
        PipelineActionKind.Forward => Forward,
        PipelineActionKind.InputBackward => InputBackward,
        PipelineActionKind.WeightBackward => WeightBackward,
        _ => WholeBackward ?? (InputBackward + WeightBackward),
    };
}
