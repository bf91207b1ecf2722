using System.Numerics;
using ShardSharp.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.Optimizers;

/// <summary>The sum of a tensor's squares in float64, in one order on all threads and ranks.</summary>
/// <remarks>
/// A float32 squared is exact in float64 and far from its largest number, so the sum is finite exactly if every element is: one pass gives
/// the norm and the overflow check.
/// </remarks>
internal static unsafe class SumOfSquares
{
    /// <summary>How many elements of a GPU's tensor have a copy in float64 at a time.</summary>
    private const long ElementsAtOnce = 1 << 24;

    public static double Of(Tensor tensor)
    {
        using var scope = NewDisposeScope();
        if (tensor.device_type != DeviceType.CPU)
            return OnDevice(tensor).item<double>();
        var dense = tensor.contiguous();
        if (dense.dtype != ScalarType.Float64)
            dense = dense.to_type(ScalarType.Float32);
        var values = TensorMemory.DataPointer(dense);
        var sum = dense.dtype == ScalarType.Float64 ? Of((double*)values, dense.numel()) : Of((float*)values, dense.numel());
        GC.KeepAlive(dense);
        return sum;
    }

    /// <summary>The sum of a tensor of a GPU, in the order of libtorch's kernel, as a scalar on the GPU: nothing waits for it.</summary>
    public static Tensor OnDevice(Tensor tensor)
    {
        using var scope = NewDisposeScope();
        var sums = tensor.reshape(-1).split(ElementsAtOnce).Select(part =>
        {
            using var partly = NewDisposeScope();
            return linalg.vector_norm(part.to_type(ScalarType.Float64)).square().MoveToOuterDisposeScope();
        });
        return stack([.. sums]).sum().MoveToOuterDisposeScope();
    }

    private static double Of(double* values, long count)
    {
        double sum = 0;
        for (var i = 0L; i < count; i++)
            sum += values[i] * values[i];
        return sum;
    }

    private static double Of(float* values, long count)
    {
        // Two sums, so that an addition need not wait for the one before it.
        Vector<double> first = Vector<double>.Zero, second = Vector<double>.Zero;
        var i = 0L;
        for (; i <= count - Vector<float>.Count; i += Vector<float>.Count)
        {
            Vector.Widen(Vector.Load(values + i), out var low, out var high);
            first = Vector.FusedMultiplyAdd(low, low, first);
            second = Vector.FusedMultiplyAdd(high, high, second);
        }

        var sum = Vector.Sum(first + second);
        for (; i < count; i++)
            sum += (double)values[i] * values[i];
        return sum;
    }
}
