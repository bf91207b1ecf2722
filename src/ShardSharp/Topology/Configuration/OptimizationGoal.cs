namespace ShardSharp.Topology;

/// <summary>What to favour where speed and memory compete.</summary>
public enum OptimizationGoal
{
    /// <summary>Less memory: no activation is held twice.</summary>
    Memory,

    /// <summary>Less communication, at the price of activations held by several tensor-parallel ranks.</summary>
    Speed,
}
