using ShardSharp.TensorParallel.Communication;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>
/// The first linear layer of a pair: each rank gets its part of the outputs, for the samples of all ranks. Where the stream is divided, it is
/// divided by inputs, and the parts of outputs are what is left of the ranks' sums; else by outputs, without communication.
/// </summary>
internal sealed class EntryLinear : nn.Module<Tensor, Tensor>, IDistributedModule
{
    private readonly Regime _regime;
    private readonly DividedParameter _weightPart, _biasPart;

    [ComponentName(Name = "weight")]
    private readonly Parameter _weight;

    [ComponentName(Name = "bias")]
    private readonly Parameter _bias;

    public EntryLinear(long inputs, long outputs, DistributedTransformerOptions options, Regime regime)
        : base(nameof(EntryLinear))
    {
        using var whole = WholeLinear.Create(inputs, outputs, options);
        _regime = regime;
        _weightPart = DividedParameter.Even("weight", [outputs, inputs], regime.DividesStream ? 1 : 0, regime.Ranks);
        _biasPart = DividedParameter.Even("bias", [outputs], 0, regime.Ranks);
        (_weight, _bias) = (_weightPart.Of(whole.weight!), _biasPart.Of(whole.bias!));
        RegisterComponents();
    }

    public IEnumerable<DividedParameter> DividedParameters => [_weightPart, _biasPart];

    /// <param name="input">As <see cref="Regime.ToProducts"/> gives it.</param>
    /// <returns>[all, .., outputs / ranks]</returns>
    public override Tensor forward(Tensor input)
    {
        if (!_regime.DividesStream)
            return nn.functional.linear(input, _weight, _bias);
        using var scope = NewDisposeScope();
        var sum = ReduceScatterAlong.Run(nn.functional.linear(input, _weight), -1, _regime.Group);
        return (sum + _bias).MoveToOuterDisposeScope();
    }
}
