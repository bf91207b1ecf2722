namespace ShardSharp.Topology;

public sealed partial record ParallelConfiguration
{
    /// <summary>Whether checkpointed activations wait for the backward pass in host memory.</summary>
    /// <value>Default <c>false</c>.</value>
    public bool OffloadActivations { get; init; }

    /// <summary>How many pipeline tasks before their use offloaded activations are loaded back.</summary>
    /// <value>At least 1. Default <c>4</c>.</value>
    public int ActivationLoadingHorizon { get; init; } = 4;

    /// <summary>Whether to train in float16, with float32 master parameters and loss scaling.</summary>
    /// <value>Default <c>false</c>.</value>
    public bool Float16 { get; init; }

    /// <summary>Whether tensor-parallel layers create their parameters in float16.</summary>
    /// <value>Default <c>false</c>.</value>
    public bool Float16Parameters { get; init; }

    /// <summary>Whether to train in bfloat16, with float32 master parameters.</summary>
    /// <value>Default <c>false</c>.</value>
    public bool BFloat16 { get; init; }
}
