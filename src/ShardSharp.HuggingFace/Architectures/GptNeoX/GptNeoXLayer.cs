using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.GptNeoX;

/// <summary>A layer: attention and a feed-forward network, each after a norm, side by side or one after the other.</summary>
internal sealed class GptNeoXLayer : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "input_layernorm")]
    private readonly LayerNorm _attentionNorm;

    [ComponentName(Name = "post_attention_layernorm")]
    private readonly LayerNorm _feedForwardNorm;

    [ComponentName(Name = "post_attention_dropout")]
    private readonly Dropout _attentionDropout;

    [ComponentName(Name = "post_mlp_dropout")]
    private readonly Dropout _feedForwardDropout;

    [ComponentName(Name = "attention")]
    private readonly GptNeoXAttention _attention;

    [ComponentName(Name = "mlp")]
    private readonly GptNeoXFeedForward _feedForward;

    private readonly bool _isParallel;

    public GptNeoXLayer(GptNeoXSettings settings, RotaryEmbedding rotary, ModuleFactory factory)
        : base(nameof(GptNeoXLayer))
    {
        _isParallel = settings.IsParallel;
        _attentionNorm = factory.LayerNorm(settings.Hidden, settings.NormEpsilon);
        _feedForwardNorm = factory.LayerNorm(settings.Hidden, settings.NormEpsilon);
        _attentionDropout = nn.Dropout(settings.HiddenDropout);
        _feedForwardDropout = nn.Dropout(settings.HiddenDropout);
        _attention = new GptNeoXAttention(settings, rotary, factory);
        _feedForward = new GptNeoXFeedForward(settings, factory);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var attended = input + _attentionDropout.call(_attention.call(_attentionNorm.call(input)));
        var normalised = _feedForwardNorm.call(_isParallel ? input : attended);
        return (attended + _feedForwardDropout.call(_feedForward.call(normalised))).MoveToOuterDisposeScope();
    }
}
