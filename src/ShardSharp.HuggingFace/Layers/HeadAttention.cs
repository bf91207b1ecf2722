using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Layers;

/// <summary>Attention of each position to others, head by head, between the projections of an attention layer.</summary>
internal sealed class HeadAttention
{
    /// <summary>What the products of queries and keys are multiplied by; one over the root of the size of a head if null.</summary>
    public double? Scale { get; init; }

    /// <summary>What drops attention weights in training; a child of the module that attention is for.</summary>
    public required Dropout Dropout { get; init; }

    /// <summary>Whether positions see only themselves and earlier ones.</summary>
    public bool IsCausal { get; init; } = true;

    /// <summary>How many positions, its own included, each sees; all earlier ones if null.</summary>
    public int? Window { get; init; }

    /// <param name="query">[batch, heads, sequence, size]</param>
    /// <param name="key">[batch, key heads, sequence, size]; each key head serves equally many consecutive heads.</param>
    /// <param name="value">As the keys.</param>
    /// <returns>[batch, sequence, heads * size]</returns>
    public Tensor Run(Tensor query, Tensor key, Tensor value)
    {
        using var scope = NewDisposeScope();
        if (Scale is { } scale)
        {
            using Scalar factor = scale * Math.Sqrt(query.shape[3]);
            query = query * factor;
        }

        var repeats = query.shape[1] / key.shape[1];
        var windowed = Window < query.shape[2];
        (key, value) = (Repeated(key, repeats), Repeated(value, repeats));
        var mixed = Dropout is { training: true, p: > 0 }
            ? Dropout.call(Weights(query, key)).matmul(value)
            : nn.functional.scaled_dot_product_attention(query, key, value, windowed ? Mask(query) : null, is_casual: IsCausal && !windowed);
        return mixed.transpose(1, 2).flatten(2).MoveToOuterDisposeScope();
    }

    /// <summary>What each position counts at each [batch, heads, sequence, sequence]: computed step by step where some are to be dropped.</summary>
    private Tensor Weights(Tensor query, Tensor key)
    {
        using Scalar scale = 1 / Math.Sqrt(query.shape[3]), never = double.NegativeInfinity;
        var scores = query.matmul(key.transpose(2, 3)) * scale;
        if (IsCausal)
            scores = scores.masked_fill(Mask(query).logical_not(), never);
        return scores.softmax(-1);
    }

    private static Tensor Repeated(Tensor heads, long repeats) => repeats == 1
        ? heads
        : heads.unsqueeze(2).expand(-1, -1, repeats, -1, -1).flatten(1, 2);

    /// <summary>Which positions see which [sequence, sequence].</summary>
    private Tensor Mask(Tensor query)
    {
        var length = query.shape[2];
        var earlier = ones(length, length, ScalarType.Bool, query.device).tril();
        return Window < length ? earlier.logical_and(earlier.triu(1 - Window.Value)) : earlier;
    }
}
