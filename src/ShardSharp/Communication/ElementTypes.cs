using System.Numerics;
using static TorchSharp.torch;

namespace ShardSharp.Communication;

/// <summary>Facts about the element types that tensors are made of.</summary>
internal static class ElementTypes
{
    /// <summary>Bytes of one element.</summary>
    public static int SizeOf(ScalarType type) => type switch
    {
        ScalarType.Byte or ScalarType.Int8 or ScalarType.Bool => 1,
        ScalarType.Int16 or ScalarType.Float16 or ScalarType.BFloat16 => 2,
        ScalarType.Int32 or ScalarType.Float32 => 4,
        ScalarType.Int64 or ScalarType.Float64 or ScalarType.ComplexFloat32 => 8,
        ScalarType.ComplexFloat64 => 16,
        _ => throw new NotSupportedException($"Elements of type {type} cannot be communicated."),
    };

    /// <summary>How many elements so many bytes are; a shift, since sizes are powers of two and a division takes as long as a small call can.</summary>
    public static long CountOf(long bytes, ScalarType type) => bytes >> BitOperations.Log2((uint)SizeOf(type));

    /// <summary>Throws where <paramref name="operation"/> has no meaning for <paramref name="type"/>.</summary>
    public static void RequireReducible(ScalarType type, ReduceOperation operation)
    {
        var complex = type is ScalarType.ComplexFloat32 or ScalarType.ComplexFloat64;
        var floating = type is ScalarType.Float16 or ScalarType.BFloat16 or ScalarType.Float32 or ScalarType.Float64;
        if (operation == ReduceOperation.Mean && !floating && !complex)
            throw new ArgumentException($"The mean of {type} elements is not defined; use Sum, or convert to a floating-point type.");
        if (complex && operation is not (ReduceOperation.Sum or ReduceOperation.Mean))
            throw new ArgumentException($"{operation} of {type} elements is not supported; complex elements have Sum and Mean.");
    }
}
