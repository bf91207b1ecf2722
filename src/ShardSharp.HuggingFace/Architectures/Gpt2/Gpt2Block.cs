using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Gpt2;

/// <summary>A block: attention and a feed-forward network, each after a norm and added to the residual stream.</summary>
internal sealed class Gpt2Block : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "ln_1")]
    private readonly LayerNorm _attentionNorm;

    [ComponentName(Name = "attn")]
    private readonly Gpt2Attention _attention;

    [ComponentName(Name = "ln_2")]
    private readonly LayerNorm _feedForwardNorm;

    [ComponentName(Name = "mlp")]
    private readonly Gpt2FeedForward _feedForward;

    public Gpt2Block(Gpt2Settings settings, int layer, ModuleFactory factory)
        : base(nameof(Gpt2Block))
    {
        _attentionNorm = factory.LayerNorm(settings.Hidden, settings.NormEpsilon);
        _attention = new Gpt2Attention(settings, layer, factory);
        _feedForwardNorm = factory.LayerNorm(settings.Hidden, settings.NormEpsilon);
        _feedForward = new Gpt2FeedForward(settings, factory);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var hidden = input + _attention.call(_attentionNorm.call(input));
        return (hidden + _feedForward.call(_feedForwardNorm.call(hidden))).MoveToOuterDisposeScope();
    }
}
