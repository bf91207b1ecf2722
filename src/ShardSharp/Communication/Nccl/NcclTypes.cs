using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Communication.Nccl;

/// <summary>How NCCL sees elements and reductions.</summary>
internal static class NcclTypes
{
    /// <summary>The type in which NCCL combines elements, and how many of it an element is.</summary>
    /// <exception cref="NotSupportedException">NCCL has no such type.</exception>
    public static (NcclElementType Type, int PerElement) Of(ScalarType type) => type switch
    {
        ScalarType.Byte or ScalarType.Bool => (NcclElementType.UInt8, 1),
        ScalarType.Int8 => (NcclElementType.Int8, 1),
        ScalarType.Int32 => (NcclElementType.Int32, 1),
        ScalarType.Int64 => (NcclElementType.Int64, 1),
        ScalarType.Float16 => (NcclElementType.Float16, 1),
        ScalarType.BFloat16 => (NcclElementType.BFloat16, 1),
        ScalarType.Float32 => (NcclElementType.Float32, 1),
        ScalarType.Float64 => (NcclElementType.Float64, 1),

        // A complex element is a pair of reals, and sum and mean work on each half.
        ScalarType.ComplexFloat32 => (NcclElementType.Float32, 2),
        ScalarType.ComplexFloat64 => (NcclElementType.Float64, 2),
        _ => throw new NotSupportedException(
            $"NCCL cannot reduce {type} elements. Convert the tensor, to Int32 for example, or reduce it on the CPU."),
    };

    /// <summary>NCCL's name of a reduction.</summary>
    public static NcclReduction Of(ScalarType type, ReduceOperation operation) => (type, operation) switch
    {
        // 0 and 1 are what bool elements hold: their larger is "or", their smaller is "and".
        (ScalarType.Bool, ReduceOperation.Sum or ReduceOperation.Max) => NcclReduction.Max,
        (ScalarType.Bool, _) => NcclReduction.Min,
        (_, ReduceOperation.Sum) => NcclReduction.Sum,
        (_, ReduceOperation.Mean) => NcclReduction.Average,
        (_, ReduceOperation.Max) => NcclReduction.Max,
        (_, ReduceOperation.Min) => NcclReduction.Min,
        _ => NcclReduction.Product,
    };
}
