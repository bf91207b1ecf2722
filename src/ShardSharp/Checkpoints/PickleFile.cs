using System.IO.Compression;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Checkpoints;

/// <summary>
/// What <c>torch.save</c> writes: a zip archive of a pickle, which describes tensors, and a file with the bytes of each storage
/// (https://docs.pytorch.org/docs/stable/notes/serialization.html).
/// </summary>
internal static class PickleFile
{
    private static readonly Dictionary<string, ScalarType> Storages = new(StringComparer.Ordinal)
    {
        ["torch.FloatStorage"] = ScalarType.Float32,
        ["torch.DoubleStorage"] = ScalarType.Float64,
        ["torch.HalfStorage"] = ScalarType.Float16,
        ["torch.BFloat16Storage"] = ScalarType.BFloat16,
        ["torch.LongStorage"] = ScalarType.Int64,
        ["torch.IntStorage"] = ScalarType.Int32,
        ["torch.ShortStorage"] = ScalarType.Int16,
        ["torch.CharStorage"] = ScalarType.Int8,
        ["torch.ByteStorage"] = ScalarType.Byte,
        ["torch.BoolStorage"] = ScalarType.Bool,
    };

    public static Dictionary<string, Tensor> Read(string path)
    {
        try
        {
            using var archive = ZipFile.OpenRead(path);
            var pickle = archive.Entries.FirstOrDefault(entry => entry.FullName.EndsWith("/data.pkl", StringComparison.Ordinal))
                ?? throw new CheckpointException(path, "the archive has no data.pkl: it is not what torch.save writes.");
            var folder = pickle.FullName[..^"data.pkl".Length];
            if (Text(archive, folder + "byteorder") is not (null or "little"))
                throw new CheckpointException(path, "its numbers are big-endian.");
            using var text = new MemoryStream();
            using (var stream = pickle.Open())
                stream.CopyTo(text);
            var tensors = new Dictionary<string, Tensor>(StringComparer.Ordinal);
            using var scope = NewDisposeScope();
            foreach (var (name, value) in StateOf(path, new Unpickler(path, text.ToArray()).Read()))
                tensors.Add(name, Assemble(path, archive, folder, name, value).MoveToOuterDisposeScope());
            return tensors;
        }
        catch (Exception failure) when (failure is InvalidDataException or EndOfStreamException)
        {
            throw new CheckpointException(path, $"the archive is damaged: {failure.Message}", failure);
        }
    }

    /// <summary>The dictionary of tensors: the file's content, or what it has under the customary names.</summary>
    private static IEnumerable<(string Name, PickledTensor Value)> StateOf(string path, object? content)
    {
        if (content is not Dictionary<object, object?> state)
            throw new CheckpointException(path, "it has no dictionary of tensors.");
        foreach (var key in new[] { "state_dict", "model_state_dict", "model" })
        {
            if (state.GetValueOrDefault(key) is Dictionary<object, object?> inner)
                state = inner;
        }

        foreach (var (key, value) in state)
        {
            yield return (key, value) is (string name, PickledTensor tensor)
                ? (name, tensor)
                : throw new CheckpointException(path, $"entry {key} is no tensor. Save the model's state_dict alone.");
        }
    }

    private static unsafe Tensor Assemble(string path, ZipArchive archive, string folder, string name, PickledTensor described)
    {
        if (!Storages.TryGetValue(described.Storage.Type, out var type))
            throw new CheckpointException(path, $"tensor {name} has a storage {described.Storage.Type}, which TorchSharp does not have.");
        var entry = archive.GetEntry($"{folder}data/{described.Storage.Key}")
            ?? throw new CheckpointException(path, $"the storage of tensor {name} is missing.");
        if (entry.CompressedLength != entry.Length)
            throw new CheckpointException(path, $"the storage of tensor {name} is compressed, which torch.save does not do.");
        using var scope = NewDisposeScope();
        var elements = entry.Length / (SafetensorsType.BitsOf(SafetensorsType.NameOf(type)!)!.Value / 8);
        if (Last(described) is not { } last || last >= elements)
            throw new CheckpointException(path, $"tensor {name} lies outside its storage of {elements} elements.");
        var storage = empty(elements, dtype: type);
        using (var stream = entry.Open())
        {
            var address = (byte*)TensorMemory.DataPointer(storage);
            for (long done = 0; done < entry.Length;)
            {
                var part = new Span<byte>(address + done, (int)Math.Min(entry.Length - done, 1 << 30));
                stream.ReadExactly(part);
                done += part.Length;
            }
        }

        return storage.as_strided(described.Shape, described.Strides, described.Offset).clone().MoveToOuterDisposeScope();
    }

    /// <summary>The last element of the storage that a tensor uses, -1 for none; null for what makes no sense.</summary>
    private static Int128? Last(PickledTensor tensor)
    {
        if (tensor.Offset < 0 || tensor.Shape.Length != tensor.Strides.Length || tensor.Shape.Any(size => size < 0) || tensor.Strides.Any(stride => stride < 0))
            return null;
        if (tensor.Shape.Contains(0))
            return -1;
        return tensor.Shape.Zip(tensor.Strides).Aggregate((Int128)tensor.Offset, (last, pair) => last + ((Int128)(pair.First - 1) * pair.Second));
    }

    private static string? Text(ZipArchive archive, string name)
    {
        if (archive.GetEntry(name) is not { } entry)
            return null;
        using var reader = new StreamReader(entry.Open());
        return reader.ReadToEnd().Trim();
    }
}
