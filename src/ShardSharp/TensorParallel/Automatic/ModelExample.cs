using ShardSharp.Modules;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Automatic;

/// <summary>Something to call a model with that was made up from its layers.</summary>
internal static class ModelExample
{
    private const int Samples = 2;
    private const int Length = 8;

    /// <summary>Token ids for a model that has an embedding, else numbers for its first linear layer; null where neither will do.</summary>
    /// <param name="root">The model.</param>
    /// <param name="ranks">Ranks that may share the sequence.</param>
    public static object?[]? Of(nn.Module root, int ranks)
    {
        if (root is not nn.Module<Tensor, Tensor>)
            return null;
        using var generator = new Generator(0);
        var length = Length * Math.Max(1, ranks / Length);
        Parameter[] vectors = [.. ModuleTree.Walk(root).Select(below => below.Module).OfType<Embedding>().Select(each => each.get_parameter("weight")!)];
        if (vectors.Length > 0)
        {
            var tokens = randint(vectors.Min(weight => weight.shape[0]), [Samples, length], ScalarType.Int64, generator: generator);
            return [tokens.to(vectors[0].device).DetachFromDisposeScope()];
        }

        return ModuleTree.Walk(root).Select(below => below.Module).OfType<Linear>().FirstOrDefault() is { weight: { } first } linear
            ? [rand([Samples, length, linear.in_features], generator: generator).to(first.dtype, first.device).DetachFromDisposeScope()]
            : null;
    }
}
