using System.Buffers.Binary;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Checkpoints;

/// <summary>What is to be written to a safetensors file: the header, laid out, and the tensors.</summary>
internal sealed class SafetensorsContents
{
    /// <summary>The data begins at a multiple of this, and wide elements come before narrow ones, so that all are aligned.</summary>
    private const int Alignment = 8;

    /// <summary>Bytes written at a time: few enough to be in the processor's cache still when they are written after somebody saw them.</summary>
    private const int ShownBytes = 1 << 20;

    private readonly List<(SafetensorsEntry Entry, Tensor Tensor)> _tensors = [];
    private readonly byte[] _header;

    /// <exception cref="ArgumentException">A name is taken or reserved, or the format lacks a tensor's type.</exception>
    public SafetensorsContents(IEnumerable<KeyValuePair<string, Tensor>> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        long offset = 0;
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (name, tensor) in tensors
            .OrderByDescending(pair => pair.Value.element_size()).ThenBy(pair => pair.Key, StringComparer.Ordinal))
        {
            if (name == SafetensorsHeader.MetadataKey || !names.Add(name))
                throw new ArgumentException($"A tensor cannot be called {name}: the name is taken.", nameof(tensors));
            var type = SafetensorsType.NameOf(tensor.dtype) ?? throw new ArgumentException(
                $"Tensor {name} has elements of type {tensor.dtype}, which safetensors files do not have.", nameof(tensors));
            var bytes = tensor.numel() * tensor.element_size();
            _tensors.Add((new SafetensorsEntry(name, type, tensor.shape, offset, bytes), tensor));
            offset += bytes;
        }

        _header = Header(metadata);
    }

    /// <summary>Bytes of the file.</summary>
    public long Length => _header.Length + _tensors.Sum(tensor => tensor.Entry.Bytes);

    /// <summary>Is shown bytes of a tensor, in order, before they are written.</summary>
    /// <param name="entry">The tensor.</param>
    /// <param name="position">Where in its bytes these begin.</param>
    /// <param name="bytes">As many bytes as a mebibyte, or what is left.</param>
    public delegate void Witness(SafetensorsEntry entry, long position, ReadOnlySpan<byte> bytes);

    /// <param name="file">An empty file.</param>
    /// <param name="witness">Is shown everything; nobody if null.</param>
    public void WriteTo(SafeFileHandle file, Witness? witness)
    {
        RandomAccess.Write(file, _header, 0);
        foreach (var (entry, tensor) in _tensors)
        {
            using var scope = NewDisposeScope();
            using var unrecorded = no_grad();
            Write(file, entry, tensor.cpu().contiguous(), witness);
        }
    }

    private unsafe void Write(SafeFileHandle file, SafetensorsEntry entry, Tensor tensor, Witness? witness)
    {
        var source = TensorMemory.DataPointer(tensor);
        for (long position = 0; position < entry.Bytes; position += ShownBytes)
        {
            var part = new ReadOnlySpan<byte>((void*)(source + (nint)position), (int)Math.Min(entry.Bytes - position, ShownBytes));
            witness?.Invoke(entry, position, part);
            RandomAccess.Write(file, part, _header.Length + entry.Offset + position);
        }

        GC.KeepAlive(tensor);
    }

    /// <summary>The length and the JSON, with blanks behind that align what follows.</summary>
    private byte[] Header(IReadOnlyDictionary<string, string>? metadata)
    {
        using var stream = new MemoryStream();
        stream.SetLength(SafetensorsHeader.LengthBytes);
        stream.Position = SafetensorsHeader.LengthBytes;
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            if (metadata is { Count: > 0 })
            {
                json.WriteStartObject(SafetensorsHeader.MetadataKey);
                foreach (var (key, value) in metadata)
                    json.WriteString(key, value);
                json.WriteEndObject();
            }

            foreach (var (entry, _) in _tensors)
                Write(json, entry);
            json.WriteEndObject();
        }

        while (stream.Length % Alignment != 0)
            stream.WriteByte((byte)' ');
        var header = stream.ToArray();
        BinaryPrimitives.WriteInt64LittleEndian(header, header.Length - SafetensorsHeader.LengthBytes);
        return header;
    }

    private static void Write(Utf8JsonWriter json, SafetensorsEntry entry)
    {
        json.WriteStartObject(entry.Name);
        json.WriteString("dtype", entry.TypeName);
        json.WriteStartArray("shape");
        foreach (var size in entry.Shape)
            json.WriteNumberValue(size);
        json.WriteEndArray();
        json.WriteStartArray("data_offsets");
        json.WriteNumberValue(entry.Offset);
        json.WriteNumberValue(entry.Offset + entry.Bytes);
        json.WriteEndArray();
        json.WriteEndObject();
    }
}
