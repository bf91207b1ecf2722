namespace ShardSharp.Topology;

public sealed partial record ParallelConfiguration
{
    /// <summary>Whether to compute in float16, with float32 master parameters and loss scaling.</summary>
    /// <value>Default <c>false</c>.</value>
    public bool Float16 { get; init; }

    /// <summary>Whether tensor-parallel layers create their parameters in float16.</summary>
    /// <value>Default <c>false</c>.</value>
    public bool Float16Parameters { get; init; }

    /// <summary>Whether to compute in bfloat16, with float32 master parameters.</summary>
    /// <value>Default <c>false</c>.</value>
    public bool BFloat16 { get; init; }

    /// <summary>In which type gradients of a float16 or bfloat16 training are averaged over ranks; they are accumulated in float32.</summary>
    /// <value>Default <c>"float32"</c>.</value>
    public FloatingPointType ReduceType { get; init; } = FloatingPointType.Float32;

    /// <summary>The type of a float16 or bfloat16 model's floating-point buffers; null gives them that of its parameters.</summary>
    /// <value>Default <c>null</c>.</value>
    public FloatingPointType? BufferType { get; init; }

    /// <summary>The type of what a float16 or bfloat16 model returns, and so of what the loss is computed from.</summary>
    /// <value>Default <c>"float32"</c>.</value>
    public FloatingPointType OutputType { get; init; } = FloatingPointType.Float32;

    /// <summary>Whether the model computes in another type than its parameters are kept in.</summary>
    internal bool IsMixedPrecision => Float16 || BFloat16;

    /// <summary>Whether parameters are laid out in units, of which ranks own slices, or all where nothing is sharded.</summary>
    internal bool HasUnits => ShardsState || IsMixedPrecision;
}
