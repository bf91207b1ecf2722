using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Llama;

/// <summary>A feed-forward network one half of which gates the other (Shazeer 2020, https://arxiv.org/abs/2002.05202).</summary>
internal sealed class GatedFeedForward : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "gate_proj")]
    private readonly Linear _gate;

    [ComponentName(Name = "up_proj")]
    private readonly Linear _up;

    [ComponentName(Name = "down_proj")]
    private readonly Linear _down;

    private readonly Func<Tensor, Tensor> _activation;

    public GatedFeedForward(DecoderSettings settings, ModuleFactory factory)
        : base(nameof(GatedFeedForward))
    {
        _activation = settings.Activation;
        _gate = factory.Linear(settings.Hidden, settings.Inner, settings.HasFeedForwardBias);
        _up = factory.Linear(settings.Hidden, settings.Inner, settings.HasFeedForwardBias);
        _down = factory.Linear(settings.Inner, settings.Hidden, settings.HasFeedForwardBias);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        return _down.call(_activation(_gate.call(input)) * _up.call(input)).MoveToOuterDisposeScope();
    }
}
