using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Bert;

/// <summary>The layer of BERT's head before the vocabulary.</summary>
internal sealed class BertHeadTransform : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "dense")]
    private readonly Linear _dense;

    [ComponentName(Name = "LayerNorm")]
    private readonly LayerNorm _norm;

    private readonly Func<Tensor, Tensor> _activation;

    public BertHeadTransform(EncoderSettings settings, ModuleFactory factory)
        : base(nameof(BertHeadTransform))
    {
        _activation = settings.Activation;
        _dense = factory.Linear(settings.Hidden, settings.Hidden, bias: true);
        _norm = factory.LayerNorm(settings.Hidden, settings.NormEpsilon);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        return _norm.call(_activation(_dense.call(input))).MoveToOuterDisposeScope();
    }
}
