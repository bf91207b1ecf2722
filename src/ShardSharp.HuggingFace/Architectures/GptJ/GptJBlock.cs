using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.GptJ;

/// <summary>A block: attention and a feed-forward network after the same norm, both added to the residual stream.</summary>
internal sealed class GptJBlock : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "ln_1")]
    private readonly LayerNorm _norm;

    [ComponentName(Name = "attn")]
    private readonly GptJAttention _attention;

    [ComponentName(Name = "mlp")]
    private readonly GptJFeedForward _feedForward;

    public GptJBlock(GptJSettings settings, RotaryEmbedding rotary, ModuleFactory factory)
        : base(nameof(GptJBlock))
    {
        _norm = factory.LayerNorm(settings.Hidden, settings.NormEpsilon);
        _attention = new GptJAttention(settings, rotary, factory);
        _feedForward = new GptJFeedForward(settings, factory);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var normalised = _norm.call(input);
        return (_attention.call(normalised) + _feedForward.call(normalised) + input).MoveToOuterDisposeScope();
    }
}
