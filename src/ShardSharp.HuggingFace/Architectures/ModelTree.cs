using ShardSharp.TensorParallel;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures;

/// <summary>The modules of a model in two orders: as they compute, and as their parameters are named.</summary>
/// <param name="Parts">What computes, one after another.</param>
/// <param name="Children">The modules below the model, with their names in it.</param>
internal sealed record ModelTree(
    IReadOnlyList<nn.Module<Tensor, Tensor>> Parts, IReadOnlyList<(string Name, nn.Module Module)> Children)
{
    /// <summary>How modules are spread over tensor-parallel ranks, by patterns for their names.</summary>
    public required IReadOnlyDictionary<string, TensorParallelStyle> Styles { get; init; }

    /// <summary>What goes when the model goes, besides its modules.</summary>
    public IReadOnlyList<IDisposable> Owned { get; init; } = [];
}
