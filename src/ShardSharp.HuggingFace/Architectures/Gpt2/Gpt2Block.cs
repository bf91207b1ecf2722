using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Gpt2;

/// <summary>A block: attention and a feed-forward network, each after a norm and added to the residual stream.</summary>
internal sealed class Gpt2Block : DivisibleBlock
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

    protected override IReadOnlyList<nn.Module> AttentionModules => [_attentionNorm, _attention];

    protected override IReadOnlyList<nn.Module> TransformModules => [_feedForwardNorm, _feedForward];

    protected override Tensor Attend(Tensor input) => input + _attention.call(_attentionNorm.call(input));

    protected override Tensor Transform(Tensor attended) => attended + _feedForward.call(_feedForwardNorm.call(attended));
}
