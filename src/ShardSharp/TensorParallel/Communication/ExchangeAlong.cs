using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Communication;

/// <summary>
/// Tensors that the ranks hold divided along one dimension become divided along another: each rank sends every rank its part. Backward goes
/// the other way.
/// </summary>
internal sealed class ExchangeAlong : autograd.SingleTensorFunction<ExchangeAlong>
{
    public override string Name => nameof(ExchangeAlong);

    /// <param name="tensor">This rank's part [.., gathered / ranks, .., scattered, ..], of the same shape on all ranks.</param>
    /// <param name="scattered">The dimension that the result is divided along, which the ranks divide; from the end if negative.</param>
    /// <param name="gathered">The dimension that the given tensors are divided along; from the end if negative.</param>
    /// <param name="group">The ranks.</param>
    /// <returns>This rank's part [.., gathered, .., scattered / ranks, ..].</returns>
    public static Tensor Run(Tensor tensor, int scattered, int gathered, ProcessGroup group)
    {
        if (group.Size == 1)
            return tensor.alias();
        var (from, to) = (AlongDimension.Normalized(tensor, scattered), AlongDimension.Normalized(tensor, gathered));
        return RankFunction.IsRecorded(tensor) ? apply(tensor, group, from, to) : AlongDimension.Exchange(tensor, from, to, group);
    }

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        ctx.save_data(RankFunction.Group, vars[1]);
        ctx.save_data(RankFunction.Dimension, vars[2]);
        ctx.save_data(RankFunction.Total, vars[3]);
        return AlongDimension.Exchange((Tensor)vars[0], (int)vars[2], (int)vars[3], (ProcessGroup)vars[1]);
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        var group = (ProcessGroup)ctx.get_data(RankFunction.Group);
        var (scattered, gathered) = ((int)ctx.get_data(RankFunction.Dimension), (int)ctx.get_data(RankFunction.Total));
        var gradient = RankFunction.Gradient(
            group,
            () => AlongDimension.Exchange(grad_output, gathered, scattered, group),
            () => zeros(Shape(grad_output.shape, gathered, scattered, group.Size), grad_output.dtype, grad_output.device));
        return [gradient, null!, null!, null!];
    }

    private static long[] Shape(long[] shape, int scattered, int gathered, int ranks)
    {
        shape[scattered] /= ranks;
        shape[gathered] *= ranks;
        return shape;
    }
}
