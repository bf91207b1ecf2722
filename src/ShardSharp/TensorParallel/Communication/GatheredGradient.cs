using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Communication;

/// <summary>The backward of functions whose forward leaves each rank its part along a dimension: the parts of the gradient, gathered on every rank.</summary>
internal static class GatheredGradient
{
    /// <summary>Keeps in forward what backward needs.</summary>
    /// <param name="ctx">The function's context.</param>
    /// <param name="whole">The function's input [.., length, ..].</param>
    /// <param name="dimension">Which dimension is divided, from 0.</param>
    /// <param name="group">The ranks.</param>
    public static void Prepare(autograd.AutogradContext ctx, Tensor whole, int dimension, ProcessGroup group)
    {
        ctx.save_data(RankFunction.Group, group);
        ctx.save_data(RankFunction.Dimension, dimension);
        ctx.save_data(RankFunction.Total, whole.shape[dimension]);
    }

    /// <summary>The gradient of the input.</summary>
    /// <param name="ctx">The function's context.</param>
    /// <param name="part">That of this rank's part [.., part, ..].</param>
    /// <returns>[.., length, ..]</returns>
    public static Tensor Of(autograd.AutogradContext ctx, Tensor part)
    {
        var group = (ProcessGroup)ctx.get_data(RankFunction.Group);
        var dimension = (int)ctx.get_data(RankFunction.Dimension);
        var total = (long)ctx.get_data(RankFunction.Total);
        return RankFunction.Gradient(
            group,
            () => AlongDimension.Gather(part, dimension, group, total),
            () => zeros([.. part.shape.Take(dimension), total, .. part.shape.Skip(dimension + 1)], part.dtype, part.device));
    }
}
