namespace ShardSharp;

public partial class DistributedOptimizer
{
    /// <summary>The model whose parameters it updates.</summary>
    internal DistributedModel Model => _model;
}
