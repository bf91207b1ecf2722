using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Communication;

/// <summary>
/// Parts of a sum that the ranks have computed become the sum, which all have alike: the sum forward, the gradient itself backward.
/// Megatron's g (Shoeybi et al., arXiv:1909.08053).
/// </summary>
internal sealed class SumOverRanks : autograd.SingleTensorFunction<SumOverRanks>
{
    public override string Name => nameof(SumOverRanks);

    /// <param name="tensor">This rank's part of the sum, of the same shape on all ranks.</param>
    /// <param name="group">The ranks.</param>
    /// <param name="known">The sum, where it is known already; null has it computed.</param>
    /// <returns>The sum, of that shape, with the same bits on all ranks.</returns>
    public static Tensor Run(Tensor tensor, ProcessGroup group, Tensor? known = null)
    {
        if (group.Size == 1)
            return tensor.alias();
        return RankFunction.IsRecorded(tensor)
            ? RankFunction.Applied(() => apply(tensor, group, RankFunction.Known(known)))
            : known ?? AlongDimension.Sum(tensor, group);
    }

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars) =>
        RankFunction.Known(vars[2]) ?? AlongDimension.Sum((Tensor)vars[0], (ProcessGroup)vars[1]);

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output) => [grad_output, null!, null!];
}
