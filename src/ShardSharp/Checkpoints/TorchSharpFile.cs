using System.Text;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Checkpoints;

/// <summary>
/// What TorchSharp's <c>module.save</c> writes: a count, and for each tensor its name, type, shape and bytes; whole numbers in groups of seven
/// bits, lowest first (https://github.com/dotnet/TorchSharp/blob/main/docfx/articles/saveload.md).
/// </summary>
internal static class TorchSharpFile
{
    private const int MostDimensions = 64;

    public static Dictionary<string, Tensor> Read(string path)
    {
        using var file = File.OpenRead(path);
        using var reader = new BinaryReader(file, Encoding.UTF8);
        var tensors = new Dictionary<string, Tensor>(StringComparer.Ordinal);
        try
        {
            var count = Number(reader);
            for (var i = 0L; i < count; i++)
            {
                var name = reader.ReadString();
                if (!tensors.TryAdd(name, ReadTensor(path, file, reader, name)))
                    throw new CheckpointException(path, $"tensor {name} is there twice.");
            }

            return file.Position == file.Length
                ? tensors
                : throw new CheckpointException(path, "this is no file of tensors that TorchSharp, PyTorch or safetensors wrote: bytes follow the last tensor.");
        }
        catch (Exception failure)
        {
            foreach (var tensor in tensors.Values)
                tensor.Dispose();
            if (failure is EndOfStreamException or FormatException or OverflowException or ArgumentException)
                throw new CheckpointException(path, $"this is no file of tensors that TorchSharp, PyTorch or safetensors wrote: {failure.Message}", failure);
            throw;
        }
    }

    private static unsafe Tensor ReadTensor(string path, FileStream file, BinaryReader reader, string name)
    {
        var type = (ScalarType)checked((sbyte)Number(reader));
        if (SafetensorsType.NameOf(type) is not { } typeName)
            throw new CheckpointException(path, $"tensor {name} has an unknown type {(int)type}.");
        var dimensions = Number(reader);
        if (dimensions > MostDimensions)
            throw new CheckpointException(path, $"tensor {name} has {dimensions} dimensions.");
        var shape = new long[dimensions];
        for (var i = 0; i < shape.Length; i++)
            shape[i] = Number(reader);
        var size = SafetensorsType.BitsOf(typeName)!.Value / 8;
        var bytes = TensorPart.ElementsOf([.. shape, size]);
        if (bytes > file.Length - file.Position)
            throw new CheckpointException(path, $"tensor {name} has {bytes} bytes, and the file ends {file.Length - file.Position} bytes on.");
        var tensor = empty(shape, dtype: type);
        var address = (byte*)TensorMemory.DataPointer(tensor);
        for (long done = 0; done < bytes;)
        {
            var part = new Span<byte>(address + done, (int)Math.Min(bytes - done, 1 << 30));
            reader.BaseStream.ReadExactly(part);
            done += part.Length;
        }

        return tensor;
    }

    private static long Number(BinaryReader reader)
    {
        var number = reader.Read7BitEncodedInt64();
        return number >= 0 ? number : throw new FormatException($"{number} is no size");
    }
}
