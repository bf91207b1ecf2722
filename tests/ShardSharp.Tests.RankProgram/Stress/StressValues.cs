using System.Runtime.InteropServices;
using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Stress;

/// <summary>What ranks contribute, and what reductions of that must give, computed without any of the code under test.</summary>
internal static class StressValues
{
    public static IReadOnlyList<ScalarType> Types { get; } =
    [
        ScalarType.Float32, ScalarType.Float64, ScalarType.Float16, ScalarType.BFloat16, ScalarType.Int64, ScalarType.Int32, ScalarType.Int16,
        ScalarType.Int8, ScalarType.Byte, ScalarType.Bool, ScalarType.ComplexFloat32, ScalarType.ComplexFloat64,
    ];

    /// <summary>The reductions that a type has.</summary>
    public static ReduceOperation[] ReductionsOf(ScalarType type) => type switch
    {
        ScalarType.ComplexFloat32 or ScalarType.ComplexFloat64 => [ReduceOperation.Sum, ReduceOperation.Mean],
        ScalarType.Float32 or ScalarType.Float64 or ScalarType.Float16 or ScalarType.BFloat16 => Enum.GetValues<ReduceOperation>(),
        _ => [ReduceOperation.Sum, ReduceOperation.Max, ReduceOperation.Min, ReduceOperation.Product],
    };

    /// <summary>The same elements wherever and whenever it is called with the same seed.</summary>
    public static byte[] Draw(ScalarType type, long count, long seed)
    {
        var bytes = new byte[count * ElementTypes.SizeOf(type)];
        var state = ((ulong)seed * 0x9E37_79B9_7F4A_7C15) | 1;
        switch (type)
        {
            case ScalarType.Float32 or ScalarType.ComplexFloat32:
                Fill(bytes, ToFloat, state);
                break;
            case ScalarType.Float64 or ScalarType.ComplexFloat64:
                Fill<double>(bytes, bits => ToFloat(bits) * 1.1, state);
                break;
            case ScalarType.Float16:
                Fill<Half>(bytes, bits => (Half)ToFloat(bits), state);
                break;
            case ScalarType.BFloat16:
                Fill<ushort>(bytes, bits => Narrow(ToFloat(bits)), state);
                break;
            case ScalarType.Bool:
                Fill<byte>(bytes, bits => (byte)(bits & 1), state);
                break;
            default:
                Fill<byte>(bytes, bits => (byte)bits, state);
                break;
        }

        return bytes;
    }

    /// <summary>Contributions combined one after another, in their order; 16-bit floats in float32, rounded once.</summary>
    public static byte[] Reduce(ScalarType type, ReduceOperation operation, IReadOnlyList<byte[]> contributions) => type switch
    {
        ScalarType.Float32 or ScalarType.ComplexFloat32 => Fold<float, float>(contributions, operation, value => value, value => value),
        ScalarType.Float64 or ScalarType.ComplexFloat64 => Fold<double, double>(contributions, operation, value => value, value => value),
        ScalarType.Float16 => Fold<Half, float>(contributions, operation, value => (float)value, value => (Half)value),
        ScalarType.BFloat16 => Fold<ushort, float>(contributions, operation, Widen, Narrow),
        ScalarType.Int64 => Fold<long, long>(contributions, operation, value => value, value => value),
        ScalarType.Int32 => Fold<int, int>(contributions, operation, value => value, value => value),
        ScalarType.Int16 => Fold<short, short>(contributions, operation, value => value, value => value),
        ScalarType.Int8 => Fold<sbyte, sbyte>(contributions, operation, value => value, value => value),
        ScalarType.Bool => Fold<byte, byte>(
            contributions,
            operation is ReduceOperation.Sum or ReduceOperation.Max ? ReduceOperation.Max : ReduceOperation.Min,
            value => value,
            value => value),
        _ => Fold<byte, byte>(contributions, operation, value => value, value => value),
    };

    private static byte[] Fold<T, TWide>(IReadOnlyList<byte[]> contributions, ReduceOperation operation, Func<T, TWide> widen, Func<TWide, T> narrow)
        where T : unmanaged
        where TWide : unmanaged, System.Numerics.INumber<TWide>
    {
        var result = new byte[contributions[0].Length];
        var elements = MemoryMarshal.Cast<byte, T>(result.AsSpan());
        for (var i = 0; i < elements.Length; i++)
        {
            var total = widen(MemoryMarshal.Cast<byte, T>(contributions[0])[i]);
            for (var rank = 1; rank < contributions.Count; rank++)
            {
                var next = widen(MemoryMarshal.Cast<byte, T>(contributions[rank])[i]);
                total = operation switch
                {
                    ReduceOperation.Max => TWide.Max(total, next),
                    ReduceOperation.Min => TWide.Min(total, next),
                    ReduceOperation.Product => unchecked(total * next),
                    _ => unchecked(total + next),
                };
            }

            elements[i] = narrow(operation == ReduceOperation.Mean ? total / TWide.CreateChecked(contributions.Count) : total);
        }

        return result;
    }

    private static void Fill<T>(byte[] bytes, Func<uint, T> element, ulong state)
        where T : unmanaged
    {
        var elements = MemoryMarshal.Cast<byte, T>(bytes.AsSpan());
        for (var i = 0; i < elements.Length; i++)
        {
            // xorshift64* (S. Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016).
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            elements[i] = element((uint)((state * 0x2545_F491_4F6C_DD1D) >> 32));
        }
    }

    /// <summary>From -1 to 1, never 0: the two zeros are equal, but not the same bits.</summary>
    private static float ToFloat(uint bits) => (((bits >> 8) | 1) - (float)(1 << 23)) / (1 << 23);

    private static float Widen(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);

    private static ushort Narrow(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }
}
