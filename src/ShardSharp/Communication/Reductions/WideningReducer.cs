using System.Runtime.CompilerServices;

namespace ShardSharp.Communication.Reductions;

/// <summary>Reduces 16-bit floating-point elements in float32 and rounds the result once.</summary>
/// <typeparam name="TConversion">The 16-bit format.</typeparam>
internal static unsafe class WideningReducer<TConversion>
    where TConversion : struct, IFloatConversion
{
    private const int BlockLength = 2048;

    // What is not read before it is written need not be zero at first.
    [SkipLocalsInit]
    public static void Reduce(ReduceOperation operation, ReadOnlySpan<nint> sources, ushort* destination, long count)
    {
        var total = stackalloc float[BlockLength];
        var next = stackalloc float[BlockLength];
        Span<nint> pair = [(nint)total, (nint)next];
        var stepwise = operation == ReduceOperation.Mean ? ReduceOperation.Sum : operation;
        for (var start = 0L; start < count; start += BlockLength)
        {
            var length = (int)Math.Min(BlockLength, count - start);
            FloatConverter<TConversion>.Widen((ushort*)sources[0] + start, total, length);
            for (var i = 1; i < sources.Length; i++)
            {
                FloatConverter<TConversion>.Widen((ushort*)sources[i] + start, next, length);
                DenseReducer<float>.Reduce(stepwise, pair, total, length);
            }

            if (operation == ReduceOperation.Mean)
            {
                for (var i = 0; i < length; i++)
                    total[i] /= sources.Length;
            }

            FloatConverter<TConversion>.Narrow(total, destination + start, length);
        }
    }
}
