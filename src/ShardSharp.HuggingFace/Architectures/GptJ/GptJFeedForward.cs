using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.GptJ;

/// <summary>The network that treats each position alone.</summary>
internal sealed class GptJFeedForward : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "fc_in")]
    private readonly Linear _input;

    [ComponentName(Name = "fc_out")]
    private readonly Linear _output;

    [ComponentName(Name = "dropout")]
    private readonly Dropout _dropout;

    private readonly Func<Tensor, Tensor> _activation;

    public GptJFeedForward(GptJSettings settings, ModuleFactory factory)
        : base(nameof(GptJFeedForward))
    {
        _activation = settings.Activation;
        _input = factory.Linear(settings.Hidden, settings.Inner, bias: true);
        _output = factory.Linear(settings.Inner, settings.Hidden, bias: true);
        _dropout = nn.Dropout(settings.ResidualDropout);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        return _dropout.call(_output.call(_activation(_input.call(input)))).MoveToOuterDisposeScope();
    }
}
