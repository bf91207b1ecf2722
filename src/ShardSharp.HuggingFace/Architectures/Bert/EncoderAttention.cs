using ShardSharp.HuggingFace.Layers;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Bert;

/// <summary>Attention with what follows it.</summary>
internal sealed class EncoderAttention : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "self")]
    private readonly EncoderSelfAttention _attention;

    [ComponentName(Name = "output")]
    private readonly EncoderOutput _output;

    public EncoderAttention(EncoderSettings settings, ModuleFactory factory)
        : base(nameof(EncoderAttention))
    {
        _attention = new EncoderSelfAttention(settings, factory);
        _output = new EncoderOutput(settings.Hidden, settings, factory);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        return _output.call(_attention.call(input), input).MoveToOuterDisposeScope();
    }
}
