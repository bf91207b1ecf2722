using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.Steps;

/// <summary>The loss of a microbatch that counts nothing.</summary>
internal static class WeightedLoss
{
    /// <summary>Zero, with gradients of zero: the mean over nothing is no number, and neither is zero times it.</summary>
    /// <param name="outputs">What the model returned.</param>
    public static Tensor Nothing(IReadOnlyList<Tensor> outputs)
    {
        using Scalar zero = 0;
        return outputs.Where(output => output.is_floating_point()).Select(output => output.to_type(ScalarType.Float32).sum() * zero)
            .Aggregate((first, second) => first + second);
    }
}
