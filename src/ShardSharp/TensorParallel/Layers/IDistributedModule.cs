namespace ShardSharp.TensorParallel.Layers;

/// <summary>
/// A module that the ranks of a tensor-parallel group share: it holds this rank's parts of parameters, and communicates when it is called.
/// </summary>
/// <remarks>
/// Gradients that it computes are those of the loss that all ranks of the group compute alike, or, where each has samples of its own, of
/// the mean of their losses. Parameters that it holds whole get gradients as those of any other module do.
/// </remarks>
public interface IDistributedModule
{
    /// <summary>What of its own parameters, those of modules in it apart, this rank holds a part of.</summary>
    IEnumerable<DividedParameter> DividedParameters { get; }
}
