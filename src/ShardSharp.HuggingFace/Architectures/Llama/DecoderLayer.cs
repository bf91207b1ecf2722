using ShardSharp.HuggingFace.Layers;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Llama;

/// <summary>A layer: attention and a feed-forward network, each after a norm and added to the residual stream.</summary>
internal sealed class DecoderLayer : DivisibleBlock
{
    [ComponentName(Name = "input_layernorm")]
    private readonly RootMeanSquareNorm _attentionNorm;

    [ComponentName(Name = "self_attn")]
    private readonly DecoderAttention _attention;

    [ComponentName(Name = "post_attention_layernorm")]
    private readonly RootMeanSquareNorm _feedForwardNorm;

    [ComponentName(Name = "mlp")]
    private readonly nn.Module<Tensor, Tensor> _feedForward;

    public DecoderLayer(DecoderSettings settings, int layer, RotaryEmbedding rotary, ModuleFactory factory)
        : base(nameof(DecoderLayer))
    {
        _attentionNorm = factory.RootMeanSquareNorm(settings.Hidden, settings.NormEpsilon);
        _attention = new DecoderAttention(settings, layer, rotary, factory);
        _feedForwardNorm = factory.RootMeanSquareNorm(settings.Hidden, settings.NormEpsilon);
        _feedForward = settings.CreateFeedForward(settings, factory);
        RegisterComponents();
    }

    protected override IReadOnlyList<nn.Module> AttentionModules => [_attentionNorm, _attention];

    protected override IReadOnlyList<nn.Module> TransformModules => [_feedForwardNorm, _feedForward];

    protected override Tensor Attend(Tensor input) => input + _attention.call(_attentionNorm.call(input));

    protected override Tensor Transform(Tensor attended) => attended + _feedForward.call(_feedForwardNorm.call(attended));
}
