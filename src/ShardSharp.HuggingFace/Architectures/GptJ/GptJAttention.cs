using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.GptJ;

/// <summary>Causal attention with rotary positions.</summary>
internal sealed class GptJAttention : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "q_proj")]
    private readonly Linear _query;

    [ComponentName(Name = "k_proj")]
    private readonly Linear _key;

    [ComponentName(Name = "v_proj")]
    private readonly Linear _value;

    [ComponentName(Name = "out_proj")]
    private readonly Linear _output;

    [ComponentName(Name = "resid_dropout")]
    private readonly Dropout _dropout;

    [ComponentName(Name = "attn_dropout")]
    private readonly Dropout _attentionDropout;

    private readonly HeadAttention _attention;
    private readonly RotaryEmbedding _rotary;
    private readonly int _headSize;

    public GptJAttention(GptJSettings settings, RotaryEmbedding rotary, ModuleFactory factory)
        : base(nameof(GptJAttention))
    {
        (_rotary, _headSize) = (rotary, settings.HeadSize);
        _attentionDropout = nn.Dropout(settings.AttentionDropout);
        _attention = new HeadAttention { Dropout = _attentionDropout };
        _query = factory.Linear(settings.Hidden, settings.Hidden, bias: false);
        _key = factory.Linear(settings.Hidden, settings.Hidden, bias: false);
        _value = factory.Linear(settings.Hidden, settings.Hidden, bias: false);
        _output = factory.Linear(settings.Hidden, settings.Hidden, bias: false);
        _dropout = nn.Dropout(settings.ResidualDropout);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var mixed = _attention.Run(
            _rotary.Apply(Heads(_query.call(input))), _rotary.Apply(Heads(_key.call(input))), Heads(_value.call(input)));
        return _dropout.call(_output.call(mixed)).MoveToOuterDisposeScope();
    }

    /// <summary>[batch, sequence, heads * size] as [batch, heads, sequence, size].</summary>
    private Tensor Heads(Tensor projected) => projected.unflatten(2, -1, _headSize).transpose(1, 2);
}
