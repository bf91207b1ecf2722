using System.Numerics;

namespace ShardSharp.Communication.Reductions;

/// <summary>A 16-bit floating-point format: exact to float32, and back with rounding to nearest, ties to even.</summary>
internal unsafe interface IFloatConversion
{
    static abstract void Widen(ushort* source, float* target, int length);

    static abstract void Narrow(float* source, ushort* target, int length);
}

/// <summary>IEEE 754 binary16.</summary>
internal readonly unsafe struct Float16Conversion : IFloatConversion
{
    public static void Widen(ushort* source, float* target, int length)
    {
        for (var i = 0; i < length; i++)
            target[i] = (float)BitConverter.UInt16BitsToHalf(source[i]);
    }

    public static void Narrow(float* source, ushort* target, int length)
    {
        for (var i = 0; i < length; i++)
            target[i] = BitConverter.HalfToUInt16Bits((Half)source[i]);
    }
}

/// <summary>bfloat16: the upper half of a float32.</summary>
internal readonly unsafe struct BFloat16Conversion : IFloatConversion
{
    public static void Widen(ushort* source, float* target, int length)
    {
        var i = 0;
        for (; i <= length - Vector<ushort>.Count; i += Vector<ushort>.Count)
        {
            Vector.Widen(Vector.Load(source + i), out var low, out var high);
            Vector.Store(Vector.AsVectorSingle(low << 16), target + i);
            Vector.Store(Vector.AsVectorSingle(high << 16), target + i + Vector<float>.Count);
        }

        for (; i < length; i++)
            target[i] = BitConverter.UInt32BitsToSingle((uint)source[i] << 16);
    }

    public static void Narrow(float* source, ushort* target, int length)
    {
        var i = 0;
        for (; i <= length - Vector<ushort>.Count; i += Vector<ushort>.Count)
        {
            var low = Round(Vector.Load((uint*)source + i));
            var high = Round(Vector.Load((uint*)source + i + Vector<uint>.Count));
            Vector.Store(Vector.Narrow(low, high), target + i);
        }

        for (; i < length; i++)
            target[i] = Round(BitConverter.SingleToUInt32Bits(source[i]));
    }

    private static Vector<uint> Round(Vector<uint> bits)
    {
        var rounded = (bits + new Vector<uint>(0x7FFF) + ((bits >>> 16) & Vector<uint>.One)) >>> 16;
        var isNaN = Vector.GreaterThan(bits & new Vector<uint>(0x7FFF_FFFF), new Vector<uint>(0x7F80_0000));
        return Vector.ConditionalSelect(isNaN, (bits >>> 16) | new Vector<uint>(0x40), rounded);
    }

    private static ushort Round(uint bits) => (bits & 0x7FFF_FFFF) > 0x7F80_0000
        ? (ushort)((bits >> 16) | 0x40) // keep a NaN a NaN: rounding could carry it into infinity
        : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}
