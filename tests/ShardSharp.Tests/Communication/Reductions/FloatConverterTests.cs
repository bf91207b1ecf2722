using ShardSharp.Communication.Reductions;

namespace ShardSharp.Tests.Communication.Reductions;

/// <summary>Conversions of 16-bit formats against those of .NET, bit for bit.</summary>
public sealed unsafe class FloatConverterTests
{
    private static readonly ushort[] AllValues = [.. Enumerable.Range(0, 1 << 16).Select(bits => (ushort)bits)];

    /// <summary>Every 16-bit value, what lies halfway to the next one, and the float32 values on both sides of it; and others all over.</summary>
    private static float[] Samples(Func<ushort, float> widen) =>
    [
        .. AllValues.Zip(AllValues.Skip(1)).SelectMany(pair =>
        {
            var middle = (widen(pair.First) + widen(pair.Second)) / 2;
            return (float[])[widen(pair.First), middle, float.BitDecrement(middle), float.BitIncrement(middle)];
        }),
        .. Enumerable.Range(0, 1 << 20).Select(i => BitConverter.UInt32BitsToSingle((uint)i * 4099)),
    ];

    [Fact]
    public void Float16_widens_exactly() => Assert.Equal(AllValues.Select(Float16), Widen<Float16Conversion>(AllValues));

    [Fact]
    public void BFloat16_widens_exactly() => Assert.Equal(AllValues.Select(BFloat16), Widen<BFloat16Conversion>(AllValues));

    [Fact]
    public void Float16_rounds_to_nearest_even()
    {
        var samples = Samples(Float16);
        Assert.Equal(samples.Select(value => float.IsNaN(value) ? float.NaN : (float)(Half)value), Narrow<Float16Conversion>(samples).Select(Float16));
    }

    [Fact]
    public void BFloat16_rounds_to_nearest_even()
    {
        var samples = Samples(BFloat16);
        Assert.Equal(samples.Select(value => float.IsNaN(value) ? float.NaN : RoundToBFloat16(value)), Narrow<BFloat16Conversion>(samples).Select(BFloat16));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(15)]
    [InlineData(33)]
    public void Lengths_need_not_fill_a_vector(int length)
    {
        ushort[] values = [.. AllValues.Skip(1000).Take(length)];
        Assert.Equal(values.Select(Float16), Widen<Float16Conversion>(values));
        Assert.Equal(values, Narrow<Float16Conversion>([.. values.Select(Float16)]));
    }

    private static float Float16(ushort bits) => (float)BitConverter.UInt16BitsToHalf(bits);

    private static float BFloat16(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);

    /// <summary>By definition: of the two neighbours the nearer one, the even one if both are as near.</summary>
    private static float RoundToBFloat16(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        var (down, rest) = (bits & 0xFFFF_0000, bits & 0xFFFF);
        var up = rest > 0x8000 || (rest == 0x8000 && (down & 0x1_0000) != 0);
        return BitConverter.UInt32BitsToSingle(up ? down + 0x1_0000 : down);
    }

    private static float[] Widen<TConversion>(ushort[] values)
        where TConversion : struct, IFloatConversion
    {
        var widened = new float[values.Length];
        fixed (ushort* source = values)
        fixed (float* target = widened)
            FloatConverter<TConversion>.Widen(source, target, values.Length);
        return widened;
    }

    private static ushort[] Narrow<TConversion>(float[] values)
        where TConversion : struct, IFloatConversion
    {
        var narrowed = new ushort[values.Length];
        fixed (float* source = values)
        fixed (ushort* target = narrowed)
            FloatConverter<TConversion>.Narrow(source, target, values.Length);
        return narrowed;
    }
}
