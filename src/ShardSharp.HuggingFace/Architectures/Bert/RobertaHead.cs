using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Bert;

/// <summary>From hidden vectors to logits, under RoBERTa's names; its activation is GELU whatever that of the layers is.</summary>
internal sealed class RobertaHead : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "dense")]
    private readonly Linear _dense;

    [ComponentName(Name = "layer_norm")]
    private readonly LayerNorm _norm;

    [ComponentName(Name = "decoder")]
    private readonly Linear _decoder;

    /// <param name="decoder">The projection to the vocabulary.</param>
    /// <param name="settings">The shape of the model.</param>
    /// <param name="factory">Makes the other layers.</param>
    public RobertaHead(Linear decoder, EncoderSettings settings, ModuleFactory factory)
        : base(nameof(RobertaHead))
    {
        _dense = factory.Linear(settings.Hidden, settings.Hidden, bias: true);
        _norm = factory.LayerNorm(settings.Hidden, settings.NormEpsilon);
        _decoder = decoder;
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        return _decoder.call(_norm.call(nn.functional.gelu(_dense.call(input)))).MoveToOuterDisposeScope();
    }
}
