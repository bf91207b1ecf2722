using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Communication;

/// <summary>Each rank takes its part of a tensor that all have alike. Backward gathers the gradients of all parts on every rank.</summary>
internal sealed class ScatterAlong : autograd.SingleTensorFunction<ScatterAlong>
{
    public override string Name => nameof(ScatterAlong);

    /// <param name="whole">Equal on all ranks [.., length, ..].</param>
    /// <param name="dimension">Which dimension is divided; from the end if negative. Parts differ by one in length where ranks do not divide it.</param>
    /// <param name="group">The ranks.</param>
    /// <returns>This rank's part [.., part, ..].</returns>
    public static Tensor Run(Tensor whole, int dimension, ProcessGroup group)
    {
        if (group.Size == 1)
            return whole.alias();
        var along = AlongDimension.Normalized(whole, dimension);
        return RankFunction.IsRecorded(whole) ? RankFunction.Applied(() => apply(whole, group, along)) : AlongDimension.Part(whole, along, group);
    }

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (whole, group, dimension) = ((Tensor)vars[0], (ProcessGroup)vars[1], (int)vars[2]);
        GatheredGradient.Prepare(ctx, whole, dimension, group);
        return AlongDimension.Part(whole, dimension, group);
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output) => [GatheredGradient.Of(ctx, grad_output), null!, null!];
}
