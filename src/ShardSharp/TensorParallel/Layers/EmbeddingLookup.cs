using ShardSharp.Communication;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>Looks vectors up whose elements are divided over the ranks, with an embedding's options.</summary>
/// <param name="options">The options.</param>
/// <param name="group">The ranks.</param>
internal sealed class EmbeddingLookup(DistributedEmbeddingOptions options, ProcessGroup group)
{
    /// <param name="weight">This rank's part of the vectors [tokens, size / ranks].</param>
    /// <param name="tokens">The same on all ranks [..].</param>
    /// <returns>[.., size / ranks]</returns>
    public Tensor Run(Tensor weight, Tensor tokens)
    {
        RequireKnown(tokens, weight.shape[0]);
        using var scope = NewDisposeScope();
        var flat = tokens.flatten();
        if (options.MaxNorm is { } longest)
            Shorten(weight, flat, longest);
        var vectors = weight.index_select(0, flat);
        if (options.ScaleGradientByFrequency)
            vectors = WithScaledGradient(vectors, flat, weight.shape[0]);
        if (options.PaddingIndex is { } padding)
        {
            using Scalar silent = padding;
            vectors = where(flat.eq(silent).unsqueeze(-1), vectors.detach(), vectors);
        }

        return vectors.reshape([.. tokens.shape, weight.shape[1]]).MoveToOuterDisposeScope();
    }

    private static void RequireKnown(Tensor tokens, long vocabulary)
    {
        if (tokens.numel() == 0)
            return;
        using Tensor lowest = tokens.min(), highest = tokens.max();
        var (least, most) = (lowest.ToInt64(), highest.ToInt64());
        if (least < 0 || most >= vocabulary)
            throw new ArgumentException($"A DistributedEmbedding was called with token {(least < 0 ? least : most)}; it has 0 to {vocabulary - 1}.", nameof(tokens));
    }

    /// <summary>Shortens the vectors of tokens in place, as if they had been so from the start.</summary>
    private void Shorten(Tensor weight, Tensor tokens, double longest)
    {
        using var _ = no_grad();
        using Scalar power = options.NormType, root = 1 / options.NormType, limit = longest, small = 1e-7, one = 1;
        var (used, _, _) = tokens.unique();
        var vectors = weight.detach().index_select(0, used);
        var norms = vectors.to_type(ScalarType.Float32).abs().pow(power).sum(-1, keepdim: true);
        group.AllReduce(norms);
        norms.pow_(root);
        var factors = where(norms.gt(limit), (norms + small).reciprocal() * limit, ones_like(norms));
        weight.detach().index_copy_(0, used, (vectors * factors).to_type(weight.dtype));
    }

    /// <summary>
    /// Divides gradients by how often each token comes. A tensor of zeros that depends on the vectors has the gradient that is missing:
    /// 1 / n of the whole is the whole less (1 - 1 / n) of it.
    /// </summary>
    private static Tensor WithScaledGradient(Tensor vectors, Tensor tokens, long vocabulary)
    {
        var counts = tokens.bincount(null, vocabulary).index_select(0, tokens).unsqueeze(-1).to_type(vectors.dtype);
        var part = counts.reciprocal();
        var values = vectors.detach();
        return values + ((vectors - values) * part);
    }
}
