using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Communication;

/// <summary>
/// The ranks' parts become the whole tensor on every rank. Backward gives each rank its part of the gradient: summed over the ranks where
/// they go on to compute different things with the whole, as it is where all compute the same.
/// </summary>
internal sealed class GatherAlong : autograd.SingleTensorFunction<GatherAlong>
{
    public override string Name => nameof(GatherAlong);

    /// <param name="part">This rank's part [.., part, ..].</param>
    /// <param name="dimension">Which dimension is divided; from the end if negative.</param>
    /// <param name="group">The ranks.</param>
    /// <param name="alike">Whether all ranks compute the same with the result, so that each has the whole gradient already.</param>
    /// <param name="total">Length of all parts together; null where all are as long as this one.</param>
    /// <returns>The whole [.., total, ..], the same on all ranks.</returns>
    public static Tensor Run(Tensor part, int dimension, ProcessGroup group, bool alike, long? total = null)
    {
        if (group.Size == 1)
            return part.alias();
        var along = AlongDimension.Normalized(part, dimension);
        var length = total ?? part.shape[along] * group.Size;
        return RankFunction.IsRecorded(part)
            ? RankFunction.Applied(() => apply(part, group, along, alike, length))
            : AlongDimension.Gather(part, along, group, length);
    }

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        ctx.save_data(RankFunction.Group, vars[1]);
        ctx.save_data(RankFunction.Dimension, vars[2]);
        ctx.save_data(RankFunction.Alike, vars[3]);
        return AlongDimension.Gather((Tensor)vars[0], (int)vars[2], (ProcessGroup)vars[1], (long)vars[4]);
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        var group = (ProcessGroup)ctx.get_data(RankFunction.Group);
        var dimension = (int)ctx.get_data(RankFunction.Dimension);
        var gradient = (bool)ctx.get_data(RankFunction.Alike)
            ? AlongDimension.Part(grad_output, dimension, group)
            : RankFunction.Gradient(
                group,
                () => AlongDimension.ReduceScatter(grad_output, dimension, group),
                () => zeros_like(AlongDimension.Part(grad_output, dimension, group)));
        return [gradient, null!, null!, null!, null!];
    }
}
