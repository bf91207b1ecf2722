using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Bert;

/// <summary>Projects what a part of a layer computed, adds what the part was given, and normalises.</summary>
internal sealed class EncoderOutput : nn.Module<Tensor, Tensor, Tensor>
{
    [ComponentName(Name = "dense")]
    private readonly Linear _dense;

    [ComponentName(Name = "LayerNorm")]
    private readonly LayerNorm _norm;

    [ComponentName(Name = "dropout")]
    private readonly Dropout _dropout;

    public EncoderOutput(int inputs, EncoderSettings settings, ModuleFactory factory)
        : base(nameof(EncoderOutput))
    {
        _dense = factory.Linear(inputs, settings.Hidden, bias: true);
        _norm = factory.LayerNorm(settings.Hidden, settings.NormEpsilon);
        _dropout = nn.Dropout(settings.HiddenDropout);
        RegisterComponents();
    }

    /// <param name="computed">What the part computed [batch, sequence, inputs].</param>
    /// <param name="given">What the part was given [batch, sequence, hidden].</param>
    public override Tensor forward(Tensor computed, Tensor given)
    {
        using var scope = NewDisposeScope();
        return _norm.call(_dropout.call(_dense.call(computed)) + given).MoveToOuterDisposeScope();
    }
}
