namespace ShardSharp.Topology;

/// <summary>The names of the mesh axes ShardSharp itself uses. A <see cref="DeviceMesh"/> accepts any other name as well.</summary>
public static class AxisName
{
    /// <summary>Pipeline parallelism: the ranks along it hold different parts of the model's depth (SMP: pp).</summary>
    public const string Pipeline = "pipeline";

    /// <summary>Reduced data parallelism: the ranks along it hold the same parameters and different samples (SMP: rdp).</summary>
    public const string Data = "data";

    /// <summary>Tensor parallelism: the ranks along it hold slices of the same layers (SMP: tp).</summary>
    public const string Tensor = "tensor";

    /// <summary>The outer part of a split data axis: the ranks along it hold the same shard of every parameter.</summary>
    public const string Replicate = "replicate";

    /// <summary>The inner part of a split data axis: the ranks along it hold different shards of the same parameters.</summary>
    public const string Shard = "shard";
}
