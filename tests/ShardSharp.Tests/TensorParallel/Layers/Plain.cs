using ShardSharp.TensorParallel.Layers;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel.Layers;

/// <summary>What the plain modules have in common.</summary>
internal static class Plain
{
    public static Linear Linear(long inputs, long outputs, DistributedTransformerOptions options)
    {
        var linear = nn.Linear(inputs, outputs);
        if (options.UseNormalInitialization)
        {
            nn.init.normal_(linear.weight!, 0, options.InitializerRange);
            nn.init.zeros_(linear.bias!);
        }

        return linear;
    }

    public static PlainEmbedding Embedding(long count, DistributedLanguageModelOptions options) => new(count, options);

    public static (LayerNorm? Before, LayerNorm? After) Norms(nn.Module module, DistributedTransformerOptions options)
    {
        var before = options.PreLayerNorm ? nn.LayerNorm(options.HiddenSize, options.LayerNormEpsilon) : null;
        var after = options.PostLayerNorm ? nn.LayerNorm(options.HiddenSize, options.LayerNormEpsilon) : null;
        if (before is not null)
            module.register_module("pre_layernorm", before);
        if (after is not null)
            module.register_module("layernorm", after);
        return (before, after);
    }
}

/// <summary>An embedding on one rank.</summary>
internal sealed class PlainEmbedding : nn.Module<Tensor, Tensor>
{
    public PlainEmbedding(long count, DistributedLanguageModelOptions options)
        : base(nameof(PlainEmbedding))
    {
        Weight = new Parameter(empty(count, options.HiddenSize).normal_(0, options.InitializerRange));
        register_parameter("weight", Weight);
    }

    public Parameter Weight { get; }

    public override Tensor forward(Tensor tokens) => Weight.index_select(0, tokens.flatten()).reshape([.. tokens.shape, Weight.shape[1]]);
}
