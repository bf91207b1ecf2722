using System.Numerics;
using System.Runtime.CompilerServices;

namespace ShardSharp.Communication.Reductions;

/// <summary>Converts arrays between a 16-bit floating-point format and float32.</summary>
/// <typeparam name="TConversion">The 16-bit format.</typeparam>
internal static unsafe class FloatConverter<TConversion>
    where TConversion : struct, IFloatConversion
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Widen(ushort* source, float* target, int length)
    {
        var i = 0;
        for (; i <= length - Vector<ushort>.Count; i += Vector<ushort>.Count)
            WidenOne(source + i, target + i);
        if (i == length)
            return;

        // The rest goes the same way, so that no value depends on its position.
        var padded = stackalloc ushort[Vector<ushort>.Count];
        var widened = stackalloc float[Vector<ushort>.Count];
        var rest = length - i;
        Buffer.MemoryCopy(source + i, padded, rest * sizeof(ushort), rest * sizeof(ushort));
        WidenOne(padded, widened);
        Buffer.MemoryCopy(widened, target + i, rest * sizeof(float), rest * sizeof(float));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Narrow(float* source, ushort* target, int length)
    {
        var i = 0;
        for (; i <= length - Vector<ushort>.Count; i += Vector<ushort>.Count)
            NarrowOne(source + i, target + i);
        if (i == length)
            return;
        var padded = stackalloc float[Vector<ushort>.Count];
        var narrowed = stackalloc ushort[Vector<ushort>.Count];
        var rest = length - i;
        Buffer.MemoryCopy(source + i, padded, rest * sizeof(float), rest * sizeof(float));
        NarrowOne(padded, narrowed);
        Buffer.MemoryCopy(narrowed, target + i, rest * sizeof(ushort), rest * sizeof(ushort));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void WidenOne(ushort* source, float* target)
    {
        Vector.Widen(Vector.Load(source), out var low, out var high);
        Vector.Store(TConversion.Widen(low), (uint*)target);
        Vector.Store(TConversion.Widen(high), (uint*)target + Vector<uint>.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void NarrowOne(float* source, ushort* target) => Vector.Store(
        Vector.Narrow(TConversion.Narrow(Vector.Load((uint*)source)), TConversion.Narrow(Vector.Load((uint*)source + Vector<uint>.Count))), target);
}
