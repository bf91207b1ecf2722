using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;

namespace ShardSharp.Checkpoints;

/// <summary>
/// Writes tensors of a checkpoint, whole, to a safetensors file: some megabytes at a time, however large they are, and without libtorch.
/// </summary>
internal static class TensorStream
{
    private const int ChunkElements = 1 << 20;

    /// <param name="reader">The checkpoint.</param>
    /// <param name="path">The file, which must not exist.</param>
    /// <param name="tensors">The tensors, by the names they get.</param>
    /// <param name="type">The type of all elements with a fraction, as the format spells it; as stored if null.</param>
    /// <param name="metadata">What the file says of itself besides.</param>
    /// <returns>The checksums of each tensor, by its name in the file.</returns>
    /// <exception cref="CheckpointException">A tensor cannot be converted, or the checkpoint is damaged.</exception>
    public static Dictionary<string, uint[]> Write(
        CheckpointReader reader, string path, IReadOnlyDictionary<string, StoredTensor> tensors, string? type = null,
        IReadOnlyDictionary<string, string>? metadata = null)
    {
        var layout = new SafetensorsLayout(
            tensors.Select(tensor => (tensor.Key, TypeOf(tensor.Value, type), tensor.Value.Shape)), metadata);
        using var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write, preallocationSize: layout.Length);
        RandomAccess.Write(file, layout.Header, 0);
        var checksums = layout.Entries.ToDictionary(
            entry => entry.Name, entry => Write(reader, file, layout.Header.Length, entry, tensors[entry.Name]), StringComparer.Ordinal);
        RandomAccess.FlushToDisk(file);
        return checksums;
    }

    private static string TypeOf(StoredTensor tensor, string? wanted) =>
        wanted is not null && tensor.TypeName is "F64" or "F32" or "F16" or "BF16" ? wanted ?? tensor.TypeName : tensor.TypeName;

    private static uint[] Write(CheckpointReader reader, SafeFileHandle file, long dataStart, SafetensorsEntry entry, StoredTensor tensor)
    {
        var checksums = new uint[BlockChecksums.CountOf(entry.Bytes)];
        var size = SafetensorsType.BitsOf(entry.TypeName)!.Value / 8;
        var (source, converted) = (new byte[ChunkElements * tensor.ElementSize], new byte[ChunkElements * size]);
        for (long start = 0; start < entry.Elements; start += ChunkElements)
        {
            var count = (int)Math.Min(ChunkElements, entry.Elements - start);
            var bytes = source.AsSpan(0, count * tensor.ElementSize);
            reader.ReadRun(tensor, start, bytes);
            if (entry.TypeName != tensor.TypeName)
            {
                Convert(bytes, tensor.TypeName, converted.AsSpan(0, count * size), entry.TypeName);
                bytes = converted.AsSpan(0, count * size);
            }

            // Chunks of any type are whole blocks.
            BlockChecksums.Compute(bytes, checksums.AsSpan((int)(start * size / BlockChecksums.BlockBytes)));
            RandomAccess.Write(file, bytes, dataStart + entry.Offset + (start * size));
        }

        return checksums;
    }

    private static void Convert(ReadOnlySpan<byte> source, string from, Span<byte> target, string to)
    {
        var (step, stepTo) = (SafetensorsType.BitsOf(from)!.Value / 8, SafetensorsType.BitsOf(to)!.Value / 8);
        for (var (i, j) = (0, 0); i < source.Length; (i, j) = (i + step, j + stepTo))
            Store(Load(source[i..], from), target[j..], to);
    }

    private static double Load(ReadOnlySpan<byte> bytes, string type) => type switch
    {
        "F64" => BinaryPrimitives.ReadDoubleLittleEndian(bytes),
        "F32" => BinaryPrimitives.ReadSingleLittleEndian(bytes),
        "F16" => (double)BinaryPrimitives.ReadHalfLittleEndian(bytes),
        _ => BitConverter.Int32BitsToSingle(BinaryPrimitives.ReadUInt16LittleEndian(bytes) << 16),
    };

    private static void Store(double value, Span<byte> target, string type)
    {
        switch (type)
        {
            case "F64":
                BinaryPrimitives.WriteDoubleLittleEndian(target, value);
                break;
            case "F32":
                BinaryPrimitives.WriteSingleLittleEndian(target, (float)value);
                break;
            case "F16":
                BinaryPrimitives.WriteHalfLittleEndian(target, (Half)(float)value);
                break;
            default:
                BinaryPrimitives.WriteUInt16LittleEndian(target, Brain((float)value));
                break;
        }
    }

    /// <summary>bfloat16: the upper half of float32, rounded to nearest, ties to even.</summary>
    private static ushort Brain(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? (ushort)((bits >> 16) | 0x40) : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }
}
