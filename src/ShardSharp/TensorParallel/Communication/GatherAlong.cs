using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Communication;

/// <summary>
/// The ranks' parts become the whole tensor on every rank. Backward gives each rank its part of the gradient: summed over the ranks where
/// they go on to compute different things with the whole, as it is where all compute the same.
/// </summary>
internal sealed class GatherAlong : autograd.SingleTensorFunction<GatherAlong>
{
    private const string Shape = "shape", Rows = "rows";

    public override string Name => nameof(GatherAlong);

    /// <param name="part">This rank's part [.., part, ..].</param>
    /// <param name="dimension">Which dimension is divided; from the end if negative.</param>
    /// <param name="group">The ranks.</param>
    /// <param name="alike">Whether all ranks compute the same with the result, so that each has the whole gradient already.</param>
    /// <param name="total">Length of all parts together; null where all are as long as this one.</param>
    /// <param name="rows">What holds the result for a time, as a matrix of its rows; null for a result that autograd may keep, in its shape.</param>
    /// <returns>The whole [.., total, ..], the same on all ranks.</returns>
    public static Tensor Run(Tensor part, int dimension, ProcessGroup group, bool alike, long? total = null, GatheredRows? rows = null)
    {
        if (group.Size == 1)
            return part.alias();
        var along = AlongDimension.Normalized(part, dimension);
        var length = total ?? part.shape[along] * group.Size;
        return RankFunction.IsRecorded(part)
            ? RankFunction.Applied(() => apply(part, group, along, alike, length, rows!))
            : Shaped(AlongDimension.Gather(part, along, group, length), rows);
    }

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        ctx.save_data(RankFunction.Group, vars[1]);
        ctx.save_data(RankFunction.Dimension, vars[2]);
        ctx.save_data(RankFunction.Alike, vars[3]);
        var whole = AlongDimension.Gather((Tensor)vars[0], (int)vars[2], (ProcessGroup)vars[1], (long)vars[4]);
        ctx.save_data(Shape, whole.shape);
        ctx.save_data(Rows, vars[5]);
        return Shaped(whole, (GatheredRows?)vars[5]);
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        // Whatever computed with it has its gradient.
        ((GatheredRows?)ctx.get_data(Rows))?.LetGo();
        var group = (ProcessGroup)ctx.get_data(RankFunction.Group);
        var dimension = (int)ctx.get_data(RankFunction.Dimension);
        using var whole = grad_output.reshape((long[])ctx.get_data(Shape));
        var gradient = (bool)ctx.get_data(RankFunction.Alike)
            ? AlongDimension.Part(whole, dimension, group)
            : RankFunction.Gradient(
                group,
                () => AlongDimension.ReduceScatter(whole, dimension, group),
                () => zeros_like(AlongDimension.Part(whole, dimension, group)));
        return [gradient, null!, null!, null!, null!, null!];
    }

    /// <summary>The tensor itself, or its rows in its place. Autograd keeps what a view is one of along with it, so they are no view.</summary>
    private static Tensor Shaped(Tensor whole, GatheredRows? held)
    {
        if (held is null)
            return whole;
        using (whole)
        {
            using var rows = whole.reshape(-1, whole.shape[^1]);
            return rows.detach();
        }
    }
}
