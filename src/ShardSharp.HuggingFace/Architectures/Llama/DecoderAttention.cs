using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Llama;

/// <summary>Causal attention with rotary positions, and fewer heads for keys and values than for queries.</summary>
internal sealed class DecoderAttention : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "q_proj")]
    private readonly Linear _query;

    [ComponentName(Name = "k_proj")]
    private readonly Linear _key;

    [ComponentName(Name = "v_proj")]
    private readonly Linear _value;

    [ComponentName(Name = "o_proj")]
    private readonly Linear _output;

    [ComponentName(Name = "q_norm")]
    private readonly RootMeanSquareNorm? _queryNorm;

    [ComponentName(Name = "k_norm")]
    private readonly RootMeanSquareNorm? _keyNorm;

    [ComponentName(Name = "attention_dropout")]
    private readonly Dropout _attentionDropout;

    private readonly HeadAttention _attention;
    private readonly RotaryEmbedding _rotary;
    private readonly int _headSize;

    public DecoderAttention(DecoderSettings settings, int layer, RotaryEmbedding rotary, ModuleFactory factory)
        : base(nameof(DecoderAttention))
    {
        (_rotary, _headSize) = (rotary, settings.HeadSize);
        _attentionDropout = nn.Dropout(settings.AttentionDropout);
        _attention = new HeadAttention { Dropout = _attentionDropout, Window = settings.Window(layer) };
        var (queries, keys) = (settings.Heads * _headSize, settings.KeyHeads * _headSize);
        _query = factory.Linear(settings.Hidden, queries, settings.HasInputBias);
        _key = factory.Linear(settings.Hidden, keys, settings.HasInputBias);
        _value = factory.Linear(settings.Hidden, keys, settings.HasInputBias);
        _output = factory.Linear(queries, settings.Hidden, settings.HasOutputBias);
        if (settings.HasQueryKeyNorm)
        {
            _queryNorm = factory.RootMeanSquareNorm(_headSize, settings.NormEpsilon);
            _keyNorm = factory.RootMeanSquareNorm(_headSize, settings.NormEpsilon);
        }

        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var query = _rotary.Apply(Heads(_query.call(input), _queryNorm));
        var key = _rotary.Apply(Heads(_key.call(input), _keyNorm));
        var mixed = _attention.Run(query, key, Heads(_value.call(input)));
        return _output.call(mixed).MoveToOuterDisposeScope();
    }

    /// <summary>[batch, sequence, heads * size] as [batch, heads, sequence, size].</summary>
    private Tensor Heads(Tensor projected, RootMeanSquareNorm? norm = null)
    {
        var heads = projected.unflatten(2, -1, _headSize);
        return (norm?.call(heads) ?? heads).transpose(1, 2);
    }
}
