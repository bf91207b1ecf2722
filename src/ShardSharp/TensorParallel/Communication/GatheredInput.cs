using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Communication;

/// <summary>A tensor that was gathered along a dimension for some layers, whose backwards gather it again, once for all of them.</summary>
/// <param name="dimension">Which dimension, from the end.</param>
/// <param name="total">Length of all parts together.</param>
/// <param name="group">The ranks.</param>
/// <param name="last">What such tensors of this rank gathered last.</param>
internal sealed class GatheredInput(int dimension, long total, ProcessGroup group, GatheredInput.Last last)
{
    /// <summary>Gathers the parts, unless that was what was gathered last.</summary>
    /// <param name="part">This rank's part.</param>
    /// <returns>The whole, which is not the caller's.</returns>
    public Tensor Again(Tensor part)
    {
        if (ReferenceEquals(last.Input, this))
            return last.Whole!;
        last.Dispose();
        long[] shape = [.. part.shape];
        shape[shape.Length + dimension] = total;
        var whole = RankFunction.Gradient(
            group,
            () => AlongDimension.Gather(part.detach(), AlongDimension.Normalized(part, dimension), group, total),
            () => zeros(shape, part.dtype, part.device));
        (last.Input, last.Whole) = (this, whole.DetachFromDisposeScope());
        return whole;
    }

    /// <summary>What the backwards of a rank gathered last.</summary>
    internal sealed class Last : IDisposable
    {
        public GatheredInput? Input { get; set; }

        public Tensor? Whole { get; set; }

        public void Dispose()
        {
            Whole?.Dispose();
            (Input, Whole) = (null, null);
        }
    }
}
