using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Communication;

/// <summary>
/// Parts of a sum that the ranks have computed become the sum, of which each rank keeps its part along a dimension. Backward gathers the
/// gradients of all parts on every rank.
/// </summary>
internal sealed class ReduceScatterAlong : autograd.SingleTensorFunction<ReduceScatterAlong>
{
    public override string Name => nameof(ReduceScatterAlong);

    /// <param name="tensor">This rank's part of the sum [.., length, ..], of the same shape on all ranks.</param>
    /// <param name="dimension">Which dimension is divided; from the end if negative. Parts differ by one in length where ranks do not divide it.</param>
    /// <param name="group">The ranks.</param>
    /// <param name="known">What it returns, where that is known already; null has it computed.</param>
    /// <returns>This rank's part of the sum along the dimension [.., part, ..].</returns>
    public static Tensor Run(Tensor tensor, int dimension, ProcessGroup group, Tensor? known = null)
    {
        if (group.Size == 1)
            return tensor.alias();
        var along = AlongDimension.Normalized(tensor, dimension);
        return RankFunction.IsRecorded(tensor)
            ? RankFunction.Applied(() => apply(tensor, group, along, RankFunction.Known(known)))
            : known ?? AlongDimension.ReduceScatter(tensor, along, group);
    }

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (tensor, group, dimension) = ((Tensor)vars[0], (ProcessGroup)vars[1], (int)vars[2]);
        GatheredGradient.Prepare(ctx, tensor, dimension, group);
        return RankFunction.Known(vars[3]) ?? AlongDimension.ReduceScatter(tensor, dimension, group);
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output) => [GatheredGradient.Of(ctx, grad_output), null!, null!, null!];
}
