using ShardSharp.Modules;

namespace ShardSharp;

public abstract partial class DistributedModel
{
    /// <summary>What this rank's parameters are of those of the undivided model.</summary>
    internal ParameterLayouts Layouts { get; } = new();
}
