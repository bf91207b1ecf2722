using ShardSharp.HuggingFace.Architectures.Llama;
using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Mixtral;

/// <summary>A gated feed-forward network under Mixtral's names.</summary>
internal sealed class Expert : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "w1")]
    private readonly Linear _gate;

    [ComponentName(Name = "w2")]
    private readonly Linear _down;

    [ComponentName(Name = "w3")]
    private readonly Linear _up;

    private readonly Func<Tensor, Tensor> _activation;

    public Expert(DecoderSettings settings, ModuleFactory factory)
        : base(nameof(Expert))
    {
        _activation = settings.Activation;
        _gate = factory.Linear(settings.Hidden, settings.Inner, bias: false);
        _down = factory.Linear(settings.Inner, settings.Hidden, bias: false);
        _up = factory.Linear(settings.Hidden, settings.Inner, bias: false);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        return _down.call(_activation(_gate.call(input)) * _up.call(input)).MoveToOuterDisposeScope();
    }
}
