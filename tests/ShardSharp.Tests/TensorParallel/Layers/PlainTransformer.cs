using ShardSharp.TensorParallel.Layers;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel.Layers;

/// <summary>A feed-forward network on one rank, by its equations.</summary>
internal sealed class PlainOutput : nn.Module<Tensor, Tensor>
{
    private readonly DistributedTransformerOptions _options;
    private readonly Linear _dense1, _dense2;
    private readonly LayerNorm? _before, _after;

    public PlainOutput(DistributedTransformerOptions options)
        : base(nameof(PlainOutput))
    {
        _options = options;
        (_dense1, _dense2) = (Plain.Linear(options.HiddenSize, options.IntermediateSize, options), Plain.Linear(options.IntermediateSize, options.HiddenSize, options));
        register_module("dense1", _dense1);
        register_module("dense2", _dense2);
        (_before, _after) = Plain.Norms(this, options);
    }

    public override Tensor forward(Tensor hidden)
    {
        var features = _dense1.call(_before is null ? hidden : _before.call(hidden));
        var output = _dense2.call(_options.Activation == TransformerActivation.Relu ? features.relu() : features.gelu());
        return _after is null ? output : _after.call(output + hidden);
    }
}

/// <summary>The layers of a transformer on one rank, by their equations.</summary>
internal sealed class PlainTransformer : nn.Module<Tensor, Tensor?, Tensor?, Tensor?, Tensor>
{
    private readonly List<PlainLayer> _layers;

    public PlainTransformer(DistributedTransformerOptions options)
        : base(nameof(PlainTransformer))
    {
        _layers = [.. Enumerable.Range(0, options.NumLayers).Select(_ => new PlainLayer(options))];
        register_module("seq_layers", new ModuleList<PlainLayer>([.. _layers]));
    }

    public override Tensor forward(Tensor hidden, Tensor? mask, Tensor? cross, Tensor? crossMask) =>
        _layers.Aggregate(hidden, (stream, layer) => layer.call(stream, mask, cross, crossMask));
}

/// <summary>One layer of a transformer on one rank, by its equations.</summary>
internal sealed class PlainLayer : nn.Module<Tensor, Tensor?, Tensor?, Tensor?, Tensor>
{
    private readonly DistributedTransformerOptions _options;
    private readonly PlainAttention _attention;
    private readonly PlainAttention? _cross;
    private readonly PlainOutput _output;

    public PlainLayer(DistributedTransformerOptions options)
        : base(nameof(PlainLayer))
    {
        _options = options;
        _attention = new PlainAttention(options, isCross: false);
        _cross = options.AddCrossAttention ? new PlainAttention(options, isCross: true) : null;
        _output = new PlainOutput(options);
        register_module("attention", _attention);
        if (_cross is not null)
            register_module("cross_attention", _cross);
        register_module("output", _output);
    }

    public override Tensor forward(Tensor hidden, Tensor? mask, Tensor? cross, Tensor? crossMask)
    {
        var stream = Added(_attention.call(hidden, mask, null), hidden);
        if (_cross is not null)
            stream = Added(_cross.call(stream, crossMask, cross), stream);
        return Added(_output.call(stream), stream);
    }

    private Tensor Added(Tensor computed, Tensor given) => _options.PostLayerNorm ? computed : computed + given;
}
