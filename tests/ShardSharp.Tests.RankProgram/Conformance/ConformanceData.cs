using ShardSharp.Native;
using Xunit;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Communication;

/// <summary>Tensors to communicate, and what should come of them.</summary>
internal static class ConformanceData
{
    /// <summary>Lengths around everything that matters: nothing, one element, uneven slices, the small path's limit, several chunks.</summary>
    public static readonly long[] Lengths = [0, 1, 3, 64, 1000, 8192, 8193, 131_072 + 5, 300_001];

    /// <summary>Whether the backend sums in an order of its own, as NCCL does, so that sums may be rounded otherwise.</summary>
    public static bool OrderIsFree { get; set; }

    /// <summary>What a reduction gives by definition: the ranks' tensors combined one after another, in rank order.</summary>
    public static Tensor Fold(int ranks, Func<int, Tensor> contribution, Func<Tensor, Tensor, Tensor> combine) =>
        Enumerable.Range(1, ranks - 1).Aggregate(contribution(0), (total, rank) => combine(total, contribution(rank)));

    /// <summary>The same numbers wherever and whenever it is called, from -0.5 to 0.5.</summary>
    /// <remarks>
    /// Written straight to memory: libtorch's generator is shared by all threads, and a TorchSharp Scalar can be finalized by a collection
    /// while libtorch still reads it (docs/testing.md).
    /// </remarks>
    public static unsafe Tensor Noise(int seed, long length)
    {
        var noise = empty(length, device: CPU);
        var values = (float*)TensorMemory.DataPointer(noise);
        var state = (uint)seed * 2_654_435_761;
        for (var i = 0L; i < length; i++)
        {
            state = (state * 1_664_525) + 1_013_904_223;
            values[i] = ((state >> 8) / (float)(1 << 24)) - 0.5f;
        }

        return noise.to(get_default_device());
    }

    public static void AssertSame(Tensor expected, Tensor actual, string? what = null)
    {
        using var scope = NewDisposeScope();
        Assert.Equal(expected.shape, actual.shape);
        if (!AreSame(expected, actual))
        {
            Assert.Fail($"{what} differs: expected {expected.ToString(TorchSharp.TensorStringStyle.Numpy)}, "
                + $"got {actual.ToString(TorchSharp.TensorStringStyle.Numpy)}");
        }
    }

    private static bool AreSame(Tensor expected, Tensor actual)
    {
        double? rounding = actual.dtype switch
        {
            ScalarType.Float64 => Math.Pow(2, -53),
            ScalarType.Float32 => Math.Pow(2, -24),
            ScalarType.Float16 => Math.Pow(2, -11),
            ScalarType.BFloat16 => Math.Pow(2, -8),
            _ => null,
        };

        // Every contribution is rounded once or twice on its way into a sum.
        return OrderIsFree && rounding is { } bound
            ? expected.allclose(actual, 64 * bound, 64 * bound)
            : expected.eq(actual).all().item<bool>();
    }
}
