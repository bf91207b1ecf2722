using ShardSharp.Modules;
using ShardSharp.Native;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Styles;

/// <summary>An embedding whose vectors are divided: each rank looks up those that it has, and the sum over the ranks has all.</summary>
internal sealed class VocabularyEmbedding : TensorParallelStyle
{
    public override string Description => "vocabulary-parallel";

    internal override void Apply(string name, nn.Module module, TensorParallelContext context)
    {
        var embedding = Require<Embedding>(name, module);
        var weight = embedding.get_parameter("weight")!;
        var weightName = ModuleTree.NameOf(name, "weight");
        var whole = context.WholeShape(weight);
        var options = EmbeddingOptions.Of(name, embedding, weight, whole[0]);
        var own = new Division(whole[0], context.Group.Size)[context.Group.Rank];
        context.Divide(weightName, weight, ParameterLayout.Divided([.. whole], 0, [own]));
        Tensor? tokens = null, held = null;

        // The module knows a padding token by its number in the whole vocabulary: it looks nothing up, and the lookup happens after it. It still
        // wants that many vectors, which cost no memory.
        context.Hook(
            name,
            embedding,
            given =>
            {
                tokens = (Tensor)given[0]!;
                if (options.Padding >= own.Length)
                {
                    using var scope = NewDisposeScope();
                    held = weight.detach().DetachFromDisposeScope();
                    TensorData.Set(weight, zeros(1, 1, weight.dtype, weight.device).expand(options.Padding.Value + 1, 1));
                }

                return [empty(0, dtype: tokens.dtype, device: tokens.device)];
            },
            returned =>
            {
                ((Tensor)returned!).Dispose();
                if (held is not null)
                    TensorData.Set(weight, held);
                held?.Dispose();
                held = null;
                using var partial = LookUp(name, tokens!, weight, own, whole[0], options.Padding);
                tokens = null;
                return context.Leave(partial);
            });
    }

    private static Tensor LookUp(string name, Tensor tokens, Parameter weight, IndexRange own, long vocabulary, long? padding)
    {
        RequireKnown(name, tokens, vocabulary);
        using var scope = NewDisposeScope();
        using Scalar start = own.Start, end = own.End, first = 0, zero = 0;
        var foreign = tokens.lt(start).logical_or(tokens.ge(end));
        var local = tokens.sub(start).masked_fill(foreign, first);
        var vectors = weight.index_select(0, local.flatten()).reshape([.. tokens.shape, weight.shape[1]]);
        if (padding is { } token)
        {
            using Scalar silent = token;
            vectors = where(tokens.eq(silent).unsqueeze(-1), vectors.detach(), vectors);
        }

        return vectors.masked_fill(foreign.unsqueeze(-1), zero).MoveToOuterDisposeScope();
    }

    private static void RequireKnown(string name, Tensor tokens, long vocabulary)
    {
        if (tokens.numel() == 0)
            return;
        using Tensor lowest = tokens.min(), highest = tokens.max();
        var (least, most) = (lowest.ToInt64(), highest.ToInt64());
        if (least < 0 || most >= vocabulary)
            throw new ArgumentException($"Module '{name}' was called with token {(least < 0 ? least : most)}; its vocabulary is 0 to {vocabulary - 1}.", nameof(tokens));
    }
}
