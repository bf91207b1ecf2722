using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp;

/// <summary>The loss of a microbatch that may count nothing.</summary>
internal static class WeightedLoss
{
    /// <param name="outputs">What the model returned.</param>
    /// <param name="labels">What the loss compares with.</param>
    /// <param name="loss">The mean loss.</param>
    /// <param name="share">What it counts; null where all count the same.</param>
    public static Tensor Compute(
        IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> labels, Func<IReadOnlyList<Tensor>, IReadOnlyList<Tensor>, Tensor> loss, double? share)
    {
        if (share != 0)
            return loss(outputs, labels);

        // The mean over nothing is no number, and neither is zero times it.
        using Scalar zero = 0;
        return outputs.Where(output => output.is_floating_point()).Select(output => output.to_type(ScalarType.Float32).sum() * zero)
            .Aggregate((first, second) => first + second);
    }
}
