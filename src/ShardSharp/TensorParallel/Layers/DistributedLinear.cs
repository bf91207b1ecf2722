using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>A linear layer whose input features the ranks share (SMP: <c>smp.nn.DistributedLinear</c>).</summary>
/// <remarks>Each rank multiplies its features by its columns of the weight, and the ranks' products are summed. The bias is whole.</remarks>
public sealed class DistributedLinear : nn.Module<Tensor, Tensor>, IDistributedModule
{
    private readonly Regime _regime;
    private readonly DividedParameter _part;

    [ComponentName(Name = "weight")]
    private readonly Parameter _weight;

    [ComponentName(Name = "bias")]
    private readonly Parameter? _bias;

    /// <summary>Creates the part of this rank, with its slices of the parameters that <c>nn.Linear</c> has after the same seed.</summary>
    /// <param name="inFeatures">All input features, which the ranks divide.</param>
    /// <param name="outFeatures">Output features.</param>
    /// <param name="ranks">The ranks that share it.</param>
    /// <param name="hasBias">Whether a bias is added.</param>
    /// <exception cref="TensorParallelException">The ranks do not divide the input features.</exception>
    public DistributedLinear(long inFeatures, long outFeatures, TensorRanks ranks, bool hasBias = true)
        : this(() => nn.Linear(inFeatures, outFeatures, hasBias), inFeatures, ranks)
    {
    }

    /// <summary>Creates this rank's part of a layer.</summary>
    internal DistributedLinear(Linear whole, TensorRanks ranks)
        : this(() => whole, whole.in_features, ranks)
    {
    }

    private DistributedLinear(Func<Linear> create, long inFeatures, TensorRanks ranks)
        : base(nameof(DistributedLinear))
    {
        ArgumentNullException.ThrowIfNull(ranks);
        ranks.RequireDivided(nameof(DistributedLinear), ("in_features", inFeatures));
        using var whole = create();
        _regime = new Regime(ranks);
        _part = DividedParameter.Even("weight", whole.weight!.shape, 1, ranks);
        (InFeatures, OutFeatures, _weight) = (inFeatures, whole.out_features, _part.Of(whole.weight!));
        _bias = whole.bias is { } own ? DividedParameter.Owned(own.detach().clone(), own.requires_grad) : null;
        RegisterComponents();
    }

    /// <summary>Input features of the whole layer.</summary>
    public long InFeatures { get; }

    /// <summary>Output features.</summary>
    public long OutFeatures { get; }

    /// <inheritdoc/>
    public IEnumerable<DividedParameter> DividedParameters => [_part];

    /// <summary>Computes the layer.</summary>
    /// <param name="input">[batch, .., in features]</param>
    /// <returns>[batch, .., out features]</returns>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        using var scope = NewDisposeScope();
        var sum = _regime.SumToOutside(nn.functional.linear(_regime.Divide(input), _weight));
        return (_bias is null ? sum : sum + _bias).MoveToOuterDisposeScope();
    }
}
