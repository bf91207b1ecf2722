using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>The second linear layer of a pair: each rank has its part of the inputs, and what the ranks compute sums up to the stream.</summary>
internal sealed class ExitLinear : nn.Module<Tensor, Tensor>, IDistributedModule
{
    private readonly Regime _regime;
    private readonly DividedParameter[] _parts;

    [ComponentName(Name = "weight")]
    private readonly Parameter _weight;

    [ComponentName(Name = "bias")]
    private readonly Parameter _bias;

    public ExitLinear(long inputs, long outputs, DistributedTransformerOptions options, Regime regime)
        : base(nameof(ExitLinear))
    {
        using var whole = WholeLinear.Create(inputs, outputs, options);
        _regime = regime;
        var divided = DividedParameter.Even("weight", [outputs, inputs], 1, regime.Ranks);
        _weight = divided.Of(whole.weight!);
        if (regime.DividesStream)
        {
            var own = DividedParameter.Even("bias", [outputs], 0, regime.Ranks);
            (_parts, _bias) = ([divided, own], own.Of(whole.bias!));
        }
        else
        {
            (_parts, _bias) = ([divided], DividedParameter.Owned(whole.bias!.detach().clone()));
        }

        RegisterComponents();
    }

    public IEnumerable<DividedParameter> DividedParameters => _parts;

    /// <param name="input">[all, .., inputs / ranks]</param>
    /// <returns>The stream.</returns>
    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        return (_regime.SumToStream(nn.functional.linear(input, _weight)) + _bias).MoveToOuterDisposeScope();
    }
}
