using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Bert;

/// <summary>The first half of the network that treats each position alone.</summary>
internal sealed class EncoderIntermediate : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "dense")]
    private readonly Linear _dense;

    private readonly Func<Tensor, Tensor> _activation;

    public EncoderIntermediate(EncoderSettings settings, ModuleFactory factory)
        : base(nameof(EncoderIntermediate))
    {
        _activation = settings.Activation;
        _dense = factory.Linear(settings.Hidden, settings.Inner, bias: true);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        return _activation(_dense.call(input)).MoveToOuterDisposeScope();
    }
}
