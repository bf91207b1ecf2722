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

    public static Embedding Embedding(long count, DistributedLanguageModelOptions options)
    {
        var weight = new Parameter(empty(count, options.HiddenSize).normal_(0, options.InitializerRange));
        return nn.Embedding_from_pretrained(weight, freeze: false);
    }

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
