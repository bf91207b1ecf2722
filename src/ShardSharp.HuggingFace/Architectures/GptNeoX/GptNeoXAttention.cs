using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.GptNeoX;

/// <summary>Causal attention with one projection, which has query, key and value of a head side by side.</summary>
internal sealed class GptNeoXAttention : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "query_key_value")]
    private readonly Linear _queryKeyValue;

    [ComponentName(Name = "dense")]
    private readonly Linear _output;

    [ComponentName(Name = "attention_dropout")]
    private readonly Dropout _attentionDropout;

    private readonly HeadAttention _attention;
    private readonly RotaryEmbedding _rotary;
    private readonly int _headSize;

    public GptNeoXAttention(GptNeoXSettings settings, RotaryEmbedding rotary, ModuleFactory factory)
        : base(nameof(GptNeoXAttention))
    {
        (_rotary, _headSize) = (rotary, settings.HeadSize);
        _attentionDropout = nn.Dropout(settings.AttentionDropout);
        _attention = new HeadAttention { Dropout = _attentionDropout };
        _queryKeyValue = factory.Linear(settings.Hidden, 3 * settings.Hidden, settings.HasAttentionBias);
        _output = factory.Linear(settings.Hidden, settings.Hidden, settings.HasAttentionBias);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var heads = _queryKeyValue.call(input).unflatten(2, -1, 3 * _headSize).transpose(1, 2).chunk(3, 3);
        var mixed = _attention.Run(_rotary.Apply(heads[0]), _rotary.Apply(heads[1]), heads[2]);
        return _output.call(mixed).MoveToOuterDisposeScope();
    }
}
