using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Communication;

/// <summary>A tensor as it is, whose gradient is multiplied by a number. Communicates nothing.</summary>
internal sealed class ScaledGradient : autograd.SingleTensorFunction<ScaledGradient>
{
    public override string Name => nameof(ScaledGradient);

    /// <param name="tensor">Of any shape.</param>
    /// <param name="factor">What its gradient is multiplied by.</param>
    /// <returns>A view of it.</returns>
    public static Tensor Run(Tensor tensor, double factor) => factor != 1 && RankFunction.IsRecorded(tensor) ? apply(tensor, factor) : tensor.alias();

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        ctx.save_data(nameof(ScaledGradient), vars[1]);
        return ((Tensor)vars[0]).alias();
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        using Scalar factor = (double)ctx.get_data(nameof(ScaledGradient));
        return [grad_output * factor, null!];
    }
}
