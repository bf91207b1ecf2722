using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Gpt2;

/// <summary>The network that treats each position alone.</summary>
internal sealed class Gpt2FeedForward : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "c_fc")]
    private readonly Linear _input;

    [ComponentName(Name = "c_proj")]
    private readonly Linear _output;

    [ComponentName(Name = "dropout")]
    private readonly Dropout _dropout;

    private readonly Func<Tensor, Tensor> _activation;

    public Gpt2FeedForward(Gpt2Settings settings, ModuleFactory factory)
        : base(nameof(Gpt2FeedForward))
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
