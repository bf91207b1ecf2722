using static TorchSharp.torch;

namespace ShardSharp.Communication.Reductions;

/// <summary>Combines the contributions of several ranks, element by element, in rank order.</summary>
internal static unsafe class Reducer
{
    /// <param name="type">Element type.</param>
    /// <param name="operation">One that <see cref="ElementTypes.RequireReducible"/> accepts for the type.</param>
    /// <param name="sources">Address of every rank's contribution, in rank order.</param>
    /// <param name="destination">Where the result goes; may be one of the sources.</param>
    /// <param name="bytes">Length of one contribution.</param>
    public static void Reduce(ScalarType type, ReduceOperation operation, ReadOnlySpan<nint> sources, byte* destination, long bytes)
    {
        switch (type, operation)
        {
            // 0 and 1 are what bool elements hold: their larger is "or", their smaller is "and".
            case (ScalarType.Bool, ReduceOperation.Sum or ReduceOperation.Max):
                DenseReducer<byte>.Reduce(ReduceOperation.Max, sources, (byte*)destination, bytes);
                break;
            case (ScalarType.Bool, _):
                DenseReducer<byte>.Reduce(ReduceOperation.Min, sources, (byte*)destination, bytes);
                break;
            case (ScalarType.Byte, _):
                DenseReducer<byte>.Reduce(operation, sources, destination, bytes);
                break;
            case (ScalarType.Int8, _):
                DenseReducer<sbyte>.Reduce(operation, sources, (sbyte*)destination, bytes);
                break;
            case (ScalarType.Int16, _):
                DenseReducer<short>.Reduce(operation, sources, (short*)destination, bytes / sizeof(short));
                break;
            case (ScalarType.Int32, _):
                DenseReducer<int>.Reduce(operation, sources, (int*)destination, bytes / sizeof(int));
                break;
            case (ScalarType.Int64, _):
                DenseReducer<long>.Reduce(operation, sources, (long*)destination, bytes / sizeof(long));
                break;

            // A complex element is a pair of reals, and sum and mean work on each half.
            case (ScalarType.Float32 or ScalarType.ComplexFloat32, _):
                DenseReducer<float>.Reduce(operation, sources, (float*)destination, bytes / sizeof(float));
                break;
            case (ScalarType.Float64 or ScalarType.ComplexFloat64, _):
                DenseReducer<double>.Reduce(operation, sources, (double*)destination, bytes / sizeof(double));
                break;
            case (ScalarType.BFloat16, _):
                WideningReducer<BFloat16Conversion>.Reduce(operation, sources, (ushort*)destination, bytes / sizeof(ushort));
                break;
            case (ScalarType.Float16, _):
                WideningReducer<Float16Conversion>.Reduce(operation, sources, (ushort*)destination, bytes / sizeof(ushort));
                break;
            default:
                throw new NotSupportedException($"Elements of type {type} cannot be reduced.");
        }
    }
}
