using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Communication;

/// <summary>
/// A tensor that all ranks have alike goes into computations that differ between them: the same values forward, the sum of the ranks'
/// gradients backward. Megatron's f (Shoeybi et al., arXiv:1909.08053).
/// </summary>
internal sealed class CopyToRanks : autograd.SingleTensorFunction<CopyToRanks>
{
    public override string Name => nameof(CopyToRanks);

    /// <param name="tensor">Equal on all ranks, of any shape.</param>
    /// <param name="group">The ranks.</param>
    /// <returns>A view of it.</returns>
    public static Tensor Run(Tensor tensor, ProcessGroup group) =>
        group.Size > 1 && RankFunction.IsRecorded(tensor) ? RankFunction.Applied(() => apply(tensor, group)) : tensor.alias();

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        ctx.save_data(RankFunction.Group, vars[1]);
        return ((Tensor)vars[0]).alias();
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        var group = (ProcessGroup)ctx.get_data(RankFunction.Group);
        return [RankFunction.Gradient(group, () => AlongDimension.Sum(grad_output, group), () => zeros_like(grad_output)), null!];
    }
}
