using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Gpt2;

/// <summary>Causal attention with one projection for queries, keys and values.</summary>
internal sealed class Gpt2Attention : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "c_attn")]
    private readonly Linear _queryKeyValue;

    [ComponentName(Name = "c_proj")]
    private readonly Linear _output;

    [ComponentName(Name = "resid_dropout")]
    private readonly Dropout _dropout;

    [ComponentName(Name = "attn_dropout")]
    private readonly Dropout _attentionDropout;

    private readonly HeadAttention _attention;
    private readonly int _headSize;

    public Gpt2Attention(Gpt2Settings settings, int layer, ModuleFactory factory)
        : base(nameof(Gpt2Attention))
    {
        _headSize = settings.Hidden / settings.Heads;
        _queryKeyValue = factory.Linear(settings.Hidden, 3 * settings.Hidden, bias: true);
        _output = factory.Linear(settings.Hidden, settings.Hidden, bias: true);
        _dropout = nn.Dropout(settings.ResidualDropout);
        _attentionDropout = nn.Dropout(settings.AttentionDropout);
        _attention = new HeadAttention
        {
            Dropout = _attentionDropout,
            Scale = (settings.ScalesBySize ? 1 / Math.Sqrt(_headSize) : 1) / (settings.ScalesByLayer ? layer + 1 : 1),
        };
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var heads = _queryKeyValue.call(input).chunk(3, 2).Select(part => part.unflatten(2, -1, _headSize).transpose(1, 2)).ToArray();
        var mixed = _attention.Run(heads[0], heads[1], heads[2]);
        return _dropout.call(_output.call(mixed)).MoveToOuterDisposeScope();
    }
}
