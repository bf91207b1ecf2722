using System.Numerics;
using System.Runtime.CompilerServices;

namespace ShardSharp.Communication.Reductions;

/// <summary>Reduces elements in their own type.</summary>
/// <typeparam name="T">Element type, one that <see cref="Vector{T}"/> supports.</typeparam>
internal static unsafe class DenseReducer<T>
    where T : unmanaged, INumber<T>
{
    /// <summary>Elements of a block that stays in the first-level cache while one contribution after another is added to it.</summary>
    private const int BlockBytes = 8 * 1024;

    public static void Reduce(ReduceOperation operation, ReadOnlySpan<nint> sources, T* destination, long count)
    {
        switch (operation)
        {
            case ReduceOperation.Sum:
                Reduce<Summing>(sources, destination, count, divisor: T.One);
                break;
            case ReduceOperation.Mean:
                Reduce<Summing>(sources, destination, count, T.CreateChecked(sources.Length));
                break;
            case ReduceOperation.Max:
                Reduce<TakingLarger>(sources, destination, count, divisor: T.One);
                break;
            case ReduceOperation.Min:
                Reduce<TakingSmaller>(sources, destination, count, divisor: T.One);
                break;
            default:
                Reduce<Multiplying>(sources, destination, count, divisor: T.One);
                break;
        }
    }

    // Scratch memory that is not read before it is written need not be zero, which would take as long as reducing a few KiB.
    [SkipLocalsInit]
    private static void Reduce<TCombination>(ReadOnlySpan<nint> sources, T* destination, long count, T divisor)
        where TCombination : struct, ICombination
    {
        // The destination may be any one of the sources, so partial results of more than two are kept apart from it.
        var blockLength = BlockBytes / sizeof(T);
        var block = stackalloc T[blockLength];
        for (var start = 0L; start < count; start += blockLength)
        {
            var length = (int)Math.Min(blockLength, count - start);
            var last = sources.Length - 1;
            var partial = (T*)sources[0] + start;
            for (var i = 1; i <= last; i++)
            {
                var target = i == last ? destination + start : block;
                Combine<TCombination>(partial, (T*)sources[i] + start, target, length);
                partial = target;
            }

            if (last == 0 && partial != destination + start)
                Buffer.MemoryCopy(partial, destination + start, length * (long)sizeof(T), length * (long)sizeof(T));
            if (divisor != T.One)
                Divide(destination + start, length, divisor);
        }
    }

    // Compiled at once with full effort: the quick first version of such loops is some fifty times slower, for seconds.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Combine<TCombination>(T* left, T* right, T* target, int length)
        where TCombination : struct, ICombination
    {
        var i = 0;
        for (; i <= length - Vector<T>.Count; i += Vector<T>.Count)
            Vector.Store(TCombination.Of(Vector.Load(left + i), Vector.Load(right + i)), target + i);
        for (; i < length; i++)
            target[i] = TCombination.Of(left[i], right[i]);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Divide(T* values, int length, T divisor)
    {
        var i = 0;
        var divisors = Vector.Create(divisor);
        for (; i <= length - Vector<T>.Count; i += Vector<T>.Count)
            Vector.Store(Vector.Load(values + i) / divisors, values + i);
        for (; i < length; i++)
            values[i] /= divisor;
    }
}
