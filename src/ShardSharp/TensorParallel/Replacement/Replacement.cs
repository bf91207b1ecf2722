using ShardSharp.TensorParallel.Layers;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Replacement;

/// <summary>How a module is replaced by a distributed one.</summary>
/// <param name="Create">Makes it of the replaced one.</param>
/// <param name="Forward">Makes its arguments of those of the replaced one; null where they are the same.</param>
/// <param name="Returned">Makes the replaced one's result of its result; null where they are the same.</param>
internal sealed record Replacement(
    Func<nn.Module, TensorRanks, nn.Module> Create, Func<object?[], object?[]>? Forward, Func<object?, object?>? Returned)
{
    /// <summary>Makes what takes the place of a module: the distributed module itself, or one of the replaced one's signature around it.</summary>
    public nn.Module For(nn.Module replaced, TensorRanks ranks)
    {
        var distributed = Create(replaced, ranks);
        if (Forward is null && Returned is null)
            return distributed;
        return AdaptedModules.Create(replaced, new AdaptedCall(distributed, Forward, Returned));
    }
}
