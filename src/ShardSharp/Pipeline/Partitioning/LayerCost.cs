namespace ShardSharp.Pipeline.Partitioning;

/// <summary>What one layer of a model costs, in the order in which forward runs the layers.</summary>
/// <param name="Name">The layer's name in the model.</param>
/// <param name="Time">Time of forward and backward for one microbatch, in any unit that all layers share.</param>
/// <param name="ParameterBytes">Bytes of its parameters.</param>
/// <param name="ActivationBytes">Bytes that its forward of one microbatch keeps for backward.</param>
public sealed record LayerCost(string Name, double Time, long ParameterBytes, long ActivationBytes)
{
    /// <summary>Names of parameters that other layers use as well; layers that share one get into one stage.</summary>
    public IReadOnlyList<string> SharedParameters { get; init; } = [];

    /// <summary>Parameters and activations, which is how SMP counts the memory of a module.</summary>
    public long Bytes => ParameterBytes + ActivationBytes;
}
