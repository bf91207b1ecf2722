using System.Numerics;

namespace ShardSharp.Communication.Reductions;

/// <summary>A 16-bit floating-point format: exact to float32, and back with rounding to nearest, ties to even.</summary>
internal interface IFloatConversion
{
    /// <summary>The bits of float32 values that are equal to 16-bit values, whose bits come in the lower halves.</summary>
    static abstract Vector<uint> Widen(Vector<uint> values);

    /// <summary>The bits of the 16-bit values nearest to float32 values.</summary>
    static abstract Vector<uint> Narrow(Vector<uint> values);
}

/// <summary>IEEE 754 binary16: 5 bits of exponent and 10 of fraction.</summary>
internal readonly struct Float16Conversion : IFloatConversion
{
    private const uint Sign = 0x8000;
    private const uint SmallestNormal = 113 << 23; // 2^-14, as float32
    private const uint OneBeyondLargest = 143 << 23; // 2^16
    private const uint Infinity32 = 255 << 23;

    /// <summary>Added to a smaller value, it leaves the multiples of 2^-24, which subnormal values are, in the lowest bits of the sum.</summary>
    private const uint SubnormalUnit = 126 << 23; // 0.5, whose last bit stands for 2^-24

    public static Vector<uint> Widen(Vector<uint> values)
    {
        var magnitude = values & new Vector<uint>(Sign - 1);
        var normal = (magnitude << 13) + new Vector<uint>((127 - 15) << 23);

        // Infinity and NaN keep an exponent of ones; a subnormal value has no leading one, so it is what one too many gives, less that one.
        var special = normal + new Vector<uint>((128 - 16) << 23);
        var subnormal = Vector.AsVectorUInt32(
            Vector.AsVectorSingle(normal + new Vector<uint>(1 << 23)) - Vector.AsVectorSingle(new Vector<uint>(SmallestNormal)));
        var widened = Vector.ConditionalSelect(Vector.LessThan(magnitude, new Vector<uint>(1 << 10)), subnormal, normal);
        widened = Vector.ConditionalSelect(Vector.GreaterThanOrEqual(magnitude, new Vector<uint>(31 << 10)), special, widened);
        return widened | ((values & new Vector<uint>(Sign)) << 16);
    }

    public static Vector<uint> Narrow(Vector<uint> values)
    {
        var magnitude = values & new Vector<uint>(0x7FFF_FFFF);

        // Half of the last place, rounded down to even; a carry goes on into the exponent, up to infinity.
        var isOdd = (magnitude >>> 13) & Vector<uint>.One;
        var normal = (magnitude - new Vector<uint>((127 - 15) << 23) + new Vector<uint>(0xFFF) + isOdd) >>> 13;
        var unit = new Vector<uint>(SubnormalUnit);
        var subnormal = Vector.AsVectorUInt32(Vector.AsVectorSingle(magnitude) + Vector.AsVectorSingle(unit)) - unit;
        var narrowed = Vector.ConditionalSelect(Vector.LessThan(magnitude, new Vector<uint>(SmallestNormal)), subnormal, normal);
        var special = Vector.ConditionalSelect(
            Vector.GreaterThan(magnitude, new Vector<uint>(Infinity32)), new Vector<uint>(0x7E00), new Vector<uint>(0x7C00));
        narrowed = Vector.ConditionalSelect(Vector.GreaterThanOrEqual(magnitude, new Vector<uint>(OneBeyondLargest)), special, narrowed);
        return narrowed | ((values >>> 16) & new Vector<uint>(Sign));
    }
}

/// <summary>bfloat16: the upper half of a float32.</summary>
internal readonly struct BFloat16Conversion : IFloatConversion
{
    public static Vector<uint> Widen(Vector<uint> values) => values << 16;

    public static Vector<uint> Narrow(Vector<uint> values)
    {
        var rounded = (values + new Vector<uint>(0x7FFF) + ((values >>> 16) & Vector<uint>.One)) >>> 16;

        // A NaN stays one: rounding could carry it into infinity.
        var isNaN = Vector.GreaterThan(values & new Vector<uint>(0x7FFF_FFFF), new Vector<uint>(0x7F80_0000));
        return Vector.ConditionalSelect(isNaN, (values >>> 16) | new Vector<uint>(0x40), rounded);
    }
}
