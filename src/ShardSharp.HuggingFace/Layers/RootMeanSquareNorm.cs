using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Layers;

/// <summary>
/// Divides each vector by its root mean square (Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467), in float32 whatever the type of
/// the input.
/// </summary>
internal sealed class RootMeanSquareNorm : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = WeightName)]
    private Parameter _weight;

    private readonly double _epsilon;

    private const string WeightName = "weight";

    /// <param name="weight">What the results are multiplied by [size].</param>
    /// <param name="epsilon">Added to the mean square.</param>
    public RootMeanSquareNorm(Tensor weight, double epsilon)
        : base(nameof(RootMeanSquareNorm))
    {
        _weight = new Parameter(weight);
        _epsilon = epsilon;
        RegisterComponents();
    }

    public Parameter Weight
    {
        get => _weight;
        set
        {
            _weight = value;
            ConditionallyRegisterParameter(WeightName, value);
        }
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        using Scalar epsilon = _epsilon;
        var wide = input.to_type(ScalarType.Float32);
        var normalised = wide * (wide.square().mean([-1], keepdim: true) + epsilon).rsqrt();
        return (_weight * normalised.to_type(input.dtype)).MoveToOuterDisposeScope();
    }
}
