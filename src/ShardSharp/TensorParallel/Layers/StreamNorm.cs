using ShardSharp.TensorParallel.Communication;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>Layer normalisation of the stream: over the ranks where it is divided, and the ordinary one elsewhere.</summary>
internal sealed class StreamNorm : nn.Module<Tensor, Tensor>, IDistributedModule
{
    private readonly Regime _regime;
    private readonly long _size;
    private readonly double _epsilon;

    [ComponentName(Name = "weight")]
    private readonly Parameter _weight;

    [ComponentName(Name = "bias")]
    private readonly Parameter _bias;

    public StreamNorm(long size, double epsilon, Regime regime)
        : base(nameof(StreamNorm))
    {
        (_size, _epsilon, _regime) = (size, epsilon, regime);
        DividedParameters = regime.DividesStream
            ? [DividedParameter.Even("weight", [size], 0, regime.Ranks), DividedParameter.Even("bias", [size], 0, regime.Ranks)]
            : [];
        var own = regime.DividesStream ? size / regime.Group.Size : size;
        (_weight, _bias) = (DividedParameter.Owned(ones(own)), DividedParameter.Owned(zeros(own)));
        RegisterComponents();
    }

    public IEnumerable<DividedParameter> DividedParameters { get; }

    public override Tensor forward(Tensor stream)
    {
        if (!_regime.DividesStream)
            return nn.functional.layer_norm(stream, [_size], _weight, _bias, _epsilon);
        using var scope = NewDisposeScope();
        using Scalar size = _size, epsilon = _epsilon;
        var values = stream.to_type(ScalarType.Float32);
        var centered = values - (Total(values) / size);
        var variance = Total(centered * centered) / size;
        var normal = (centered * (variance + epsilon).rsqrt()).to_type(stream.dtype);
        return ((normal * _weight) + _bias).MoveToOuterDisposeScope();
    }

    /// <summary>The sum over all features, which every rank goes on to compute different things with.</summary>
    private Tensor Total(Tensor values) => CopyToRanks.Run(SumOverRanks.Run(values.sum(-1, keepdim: true), _regime.Group), _regime.Group);
}
