namespace ShardSharp.TensorParallel;

/// <summary>A module that knows how it is spread over tensor-parallel ranks, so that programs need no plan for it.</summary>
public interface ITensorParallelModule
{
    /// <summary>The plan for the whole module, by names of modules in it.</summary>
    TensorParallelPlan TensorParallelPlan { get; }
}
