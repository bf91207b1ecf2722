using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Bert;

/// <summary>Attention of each position to all others.</summary>
internal sealed class EncoderSelfAttention : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "query")]
    private readonly Linear _query;

    [ComponentName(Name = "key")]
    private readonly Linear _key;

    [ComponentName(Name = "value")]
    private readonly Linear _value;

    [ComponentName(Name = "dropout")]
    private readonly Dropout _attentionDropout;

    private readonly HeadAttention _attention;
    private readonly int _headSize;

    public EncoderSelfAttention(EncoderSettings settings, ModuleFactory factory)
        : base(nameof(EncoderSelfAttention))
    {
        _headSize = settings.HeadSize;
        _attentionDropout = nn.Dropout(settings.AttentionDropout);
        _attention = new HeadAttention { IsCausal = false, Dropout = _attentionDropout };
        _query = factory.Linear(settings.Hidden, settings.Hidden, bias: true);
        _key = factory.Linear(settings.Hidden, settings.Hidden, bias: true);
        _value = factory.Linear(settings.Hidden, settings.Hidden, bias: true);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        return _attention.Run(Heads(_query.call(input)), Heads(_key.call(input)), Heads(_value.call(input)))
            .MoveToOuterDisposeScope();
    }

    /// <summary>[batch, sequence, heads * size] as [batch, heads, sequence, size].</summary>
    private Tensor Heads(Tensor projected) => projected.unflatten(2, -1, _headSize).transpose(1, 2);
}
