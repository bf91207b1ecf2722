using System.Numerics;
using System.Runtime.CompilerServices;

namespace ShardSharp.Communication;

/// <summary>Copies a few KiB by vectors: shorter than the way to the C library and back, and in the order of the addresses.</summary>
internal static unsafe class VectorCopy
{
    private const long MostBytes = 8 * 1024;

    /// <summary>Copies bytes that do not overlap.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Copy(byte* source, byte* target, long length)
    {
        if (length > MostBytes)
        {
            Buffer.MemoryCopy(source, target, length, length);
            return;
        }

        var i = 0L;
        for (; i <= length - (2 * Vector<byte>.Count); i += 2 * Vector<byte>.Count)
        {
            var (first, second) = (Vector.Load(source + i), Vector.Load(source + i + Vector<byte>.Count));
            Vector.Store(first, target + i);
            Vector.Store(second, target + i + Vector<byte>.Count);
        }

        for (; i <= length - sizeof(long); i += sizeof(long))
            Unsafe.WriteUnaligned(target + i, Unsafe.ReadUnaligned<long>(source + i));
        for (; i < length; i++)
            target[i] = source[i];
    }
}
