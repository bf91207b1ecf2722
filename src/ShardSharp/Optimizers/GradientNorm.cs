using ShardSharp.Communication;
using ShardSharp.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.Optimizers;

/// <summary>The L2 norm of all gradients of a model as one vector (Pascanu et al., arXiv:1211.5063), wherever its parts lie.</summary>
internal static class GradientNorm
{
    // As in torch.nn.utils.clip_grad_norm_: a norm of zero divides nothing by zero.
    private const double Tiny = 1e-6;

    /// <param name="gradients">The gradients that this rank has, and how many ranks have the same elements.</param>
    /// <param name="ranks">Groups of ranks among which the gradients are divided; null where this rank has all of them.</param>
    /// <returns>The same on every rank; not a finite number if any gradient on any rank has an element that is none.</returns>
    public static double Of(IEnumerable<(Tensor Gradient, int Holders)> gradients, params ReadOnlySpan<ProcessGroup?> ranks)
    {
        Span<double> sum = [SumOf(gradients)];
        foreach (var group in ranks)
            group?.AllReduce(sum);
        return Math.Sqrt(sum[0]);
    }

    /// <summary>The sum of squares of this rank's gradients; a GPU is waited for once.</summary>
    private static double SumOf(IEnumerable<(Tensor Gradient, int Holders)> gradients)
    {
        using var scope = NewDisposeScope();
        var onHost = 0.0;
        var onDevice = new List<Tensor>();
        foreach (var (gradient, holders) in gradients)
        {
            if (gradient.device_type == DeviceType.CPU)
                onHost += SumOfSquares.Of(gradient) / holders;
            else
                onDevice.Add(SumOfSquares.OnDevice(gradient).div_(holders));
        }

        return onDevice.Count == 0 ? onHost : onHost + stack(onDevice).sum().item<double>();
    }

    /// <summary>Scales all gradients so that their norm is at most <paramref name="maximum"/>; leaves them alone if it is already.</summary>
    /// <param name="gradients">The gradients that this rank has.</param>
    /// <param name="norm">Their norm over all ranks; finite.</param>
    /// <param name="maximum">The largest norm.</param>
    public static void Clip(IReadOnlyList<Tensor> gradients, double norm, double maximum)
    {
        var factor = maximum / (norm + Tiny);
        if (factor >= 1 || gradients.Count == 0)
            return;
        using var _ = no_grad();
        foreach (var ofType in gradients.GroupBy(gradient => gradient.dtype))
        {
            using var scalar = tensor(factor, ofType.Key, ofType.First().device);
            ForeachOperators.Multiply([.. ofType], scalar);
        }
    }
}
