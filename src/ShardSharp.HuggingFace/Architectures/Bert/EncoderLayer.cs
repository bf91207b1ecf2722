using ShardSharp.HuggingFace.Layers;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Bert;

/// <summary>A layer: attention and a feed-forward network, each added to its input and then normalised.</summary>
internal sealed class EncoderLayer : DivisibleBlock
{
    [ComponentName(Name = "attention")]
    private readonly EncoderAttention _attention;

    [ComponentName(Name = "intermediate")]
    private readonly EncoderIntermediate _intermediate;

    [ComponentName(Name = "output")]
    private readonly EncoderOutput _output;

    public EncoderLayer(EncoderSettings settings, ModuleFactory factory)
        : base(nameof(EncoderLayer))
    {
        _attention = new EncoderAttention(settings, factory);
        _intermediate = new EncoderIntermediate(settings, factory);
        _output = new EncoderOutput(settings.Inner, settings, factory);
        RegisterComponents();
    }

    protected override IReadOnlyList<nn.Module> AttentionModules => [_attention];

    protected override IReadOnlyList<nn.Module> TransformModules => [_intermediate, _output];

    protected override Tensor Attend(Tensor input) => _attention.call(input);

    protected override Tensor Transform(Tensor attended) => _output.call(_intermediate.call(attended), attended);
}
