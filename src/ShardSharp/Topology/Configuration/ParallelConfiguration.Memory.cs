namespace ShardSharp.Topology;

public sealed partial record ParallelConfiguration
{
    /// <summary>Whether checkpointed activations wait for the backward pass in host memory.</summary>
    /// <value>Default <c>false</c>.</value>
    public bool OffloadActivations { get; init; }

    /// <summary>How many pipeline tasks before their use offloaded activations are loaded back.</summary>
    /// <value>At least 1. Default <c>4</c>.</value>
    public int ActivationLoadingHorizon { get; init; } = 4;
}
