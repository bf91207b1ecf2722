using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.GptNeoX;

/// <summary>The network that treats each position alone.</summary>
internal sealed class GptNeoXFeedForward : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "dense_h_to_4h")]
    private readonly Linear _input;

    [ComponentName(Name = "dense_4h_to_h")]
    private readonly Linear _output;

    private readonly Func<Tensor, Tensor> _activation;

    public GptNeoXFeedForward(GptNeoXSettings settings, ModuleFactory factory)
        : base(nameof(GptNeoXFeedForward))
    {
        _activation = settings.Activation;
        _input = factory.Linear(settings.Hidden, settings.Inner, bias: true);
        _output = factory.Linear(settings.Inner, settings.Hidden, bias: true);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        return _output.call(_activation(_input.call(input))).MoveToOuterDisposeScope();
    }
}
