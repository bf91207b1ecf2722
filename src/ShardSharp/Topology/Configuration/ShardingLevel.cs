namespace ShardSharp.Topology;

/// <summary>What sharded data parallelism shards.</summary>
public enum ShardingLevel
{
    /// <summary>Gradients and the optimizer's state; every rank holds all parameters (ZeRO stage 2).</summary>
    Gradients,

    /// <summary>Parameters as well (ZeRO stage 3). On one host this costs no communication: its ranks share the memory of the parameters.</summary>
    Parameters,
}
