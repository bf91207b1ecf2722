using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace ShardSharp.Communication;

/// <summary>Copies to memory past the cache.</summary>
/// <remarks>
/// An ordinary store first reads the line it writes to. Where a result does not fit the cache anyway, storing around it ("non-temporal")
/// saves that third of the traffic, and leaves the cache to what is read.
/// </remarks>
internal static unsafe class StreamingCopy
{
    /// <summary>From this size of a buffer on it is worth it; smaller ones may still be in the cache when they are used.</summary>
    public const long LeastBytes = 8 << 20;

    /// <summary>Copies bytes that do not overlap; all ranks that synchronise with this one afterwards see them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Copy(byte* source, byte* target, long length)
    {
        const int Step = 4 * 32;
        if (!Vector256.IsHardwareAccelerated || length < 2 * Step)
        {
            Buffer.MemoryCopy(source, target, length, length);
            return;
        }

        // Such stores need aligned addresses.
        var head = (32 - ((nint)target & 31)) & 31;
        Buffer.MemoryCopy(source, target, head, head);
        var i = (long)head;
        for (; i <= length - Step; i += Step)
        {
            var (first, second) = (Vector256.Load(source + i), Vector256.Load(source + i + 32));
            var (third, fourth) = (Vector256.Load(source + i + 64), Vector256.Load(source + i + 96));
            Vector256.StoreAlignedNonTemporal(first, target + i);
            Vector256.StoreAlignedNonTemporal(second, target + i + 32);
            Vector256.StoreAlignedNonTemporal(third, target + i + 64);
            Vector256.StoreAlignedNonTemporal(fourth, target + i + 96);
        }

        Buffer.MemoryCopy(source + i, target + i, length - i, length - i);

        // They become visible in any order, so nothing that follows may become visible before them.
        Thread.MemoryBarrier();
    }
}
