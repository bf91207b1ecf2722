using ShardSharp.Native;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Styles;

/// <summary>The options of an embedding, which TorchSharp does not tell: found by looking vectors of one element up.</summary>
/// <param name="Padding">The token whose vector gets no gradient.</param>
internal sealed record EmbeddingOptions(long? Padding)
{
    /// <param name="name">Name of the embedding in the model.</param>
    /// <param name="embedding">The embedding.</param>
    /// <param name="weight">Its parameter.</param>
    /// <param name="vocabulary">How many vectors it has undivided.</param>
    /// <exception cref="TensorParallelException">The embedding does something that cannot be divided.</exception>
    public static EmbeddingOptions Of(string name, Embedding embedding, Parameter weight, long vocabulary)
    {
        using var scope = NewDisposeScope();
        using var recorded = enable_grad();
        var (values, gradient, trained) = (weight.detach(), weight.grad, weight.requires_grad);
        try
        {
            const float Large = 1e6f;
            using Scalar large = Large, nothing = 0;
            weight.grad = null;
            weight.requires_grad = true;
            TensorData.Set(weight, full([vocabulary, 1], large, weight.dtype, weight.device));
            var tokens = arange(vocabulary, ScalarType.Int64, weight.device);

            // The last token twice: its gradient is 2 unless it is scaled by frequency.
            var found = embedding.forward(cat([tokens, tokens.narrow(0, tokens.shape[0] - 1, 1)]));
            if (found.detach().to_type(ScalarType.Float32).min().ToSingle() < Large / 2)
                throw Refused("max_norm");
            found.sum().backward();
            var counted = weight.grad!;
            if (counted.is_sparse)
                throw Refused("sparse");
            counted = counted.flatten().to_type(ScalarType.Float32);
            var silent = counted.eq(nothing).nonzero().flatten();
            if (silent.shape[0] == 0 && counted.max().ToSingle() < 1.5f)
                throw Refused("scale_grad_by_freq");
            return new EmbeddingOptions(silent.shape[0] == 0 ? null : silent[0].ToInt64());
        }
        finally
        {
            weight.grad = null;
            TensorData.Set(weight, values);
            weight.requires_grad = trained;
            weight.grad = gradient;
        }

        TensorParallelException Refused(string option) => new(
            $"Embedding '{name}' has option {option}, which cannot be divided. Make it without, or leave the module out of the plan.");
    }
}
