using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Bert;

/// <summary>From hidden vectors to logits, under BERT's names: one more layer with a norm, and the vocabulary.</summary>
internal sealed class BertHead : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "transform")]
    private readonly BertHeadTransform _transform;

    [ComponentName(Name = "decoder")]
    private readonly Linear _decoder;

    /// <param name="decoder">The projection to the vocabulary.</param>
    /// <param name="settings">The shape of the model.</param>
    /// <param name="factory">Makes the other layers.</param>
    public BertHead(Linear decoder, EncoderSettings settings, ModuleFactory factory)
        : base(nameof(BertHead))
    {
        _transform = new BertHeadTransform(settings, factory);
        _decoder = decoder;
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        return _decoder.call(_transform.call(input)).MoveToOuterDisposeScope();
    }
}
