using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Layers;

/// <summary>Attention of each position to others, head by head, between the projections of an attention layer.</summary>
internal sealed class HeadAttention
{
    /// <summary>What the products of queries and keys are multiplied by; one over the root of the size of a head if null.</summary>
    public double? Scale { get; init; }

    /// <summary>With which probability an attention weight is dropped in training.</summary>
    public double Dropout { get; init; }

    /// <summary>Whether positions see only themselves and earlier ones.</summary>
    public bool IsCausal { get; init; } = true;

    /// <summary>How many positions, its own included, each sees; all earlier ones if null.</summary>
    public int? Window { get; init; }

    /// <param name="query">[batch, heads, sequence, size]</param>
    /// <param name="key">[batch, key heads, sequence, size]; each key head serves equally many consecutive heads.</param>
    /// <param name="value">As the keys.</param>
    /// <param name="training">Whether to drop attention weights.</param>
    /// <returns>[batch, sequence, heads * size]</returns>
    public Tensor Run(Tensor query, Tensor key, Tensor value, bool training)
    {
        using var scope = NewDisposeScope();
        if (Scale is { } scale)
        {
            using Scalar factor = scale * Math.Sqrt(query.shape[3]);
            query = query * factor;
        }

        var repeats = query.shape[1] / key.shape[1];
        var windowed = Window < query.shape[2];
        var mixed = nn.functional.scaled_dot_product_attention(
            query, Repeated(key, repeats), Repeated(value, repeats), windowed ? Mask(query) : null, training ? Dropout : 0,
            is_casual: IsCausal && !windowed);
        return mixed.transpose(1, 2).flatten(2).MoveToOuterDisposeScope();
    }

    private static Tensor Repeated(Tensor heads, long repeats) => repeats == 1
        ? heads
        : heads.unsqueeze(2).expand(-1, -1, repeats, -1, -1).flatten(1, 2);

    /// <summary>Which positions see which [sequence, sequence].</summary>
    private Tensor Mask(Tensor query)
    {
        var length = query.shape[2];
        var earlier = ones(length, length, ScalarType.Bool, query.device).tril();
        return earlier.logical_and(earlier.triu(1 - Window!.Value));
    }
}
