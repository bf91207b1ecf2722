using System.Buffers.Binary;
using System.Text.Json;

namespace ShardSharp.Checkpoints;

/// <summary>Where tensors lie in a safetensors file that is to be written, and the header that says so.</summary>
internal sealed class SafetensorsLayout
{
    /// <summary>The data begins at a multiple of this, and wide elements come before narrow ones, so that all are aligned.</summary>
    private const int Alignment = 8;

    /// <param name="tensors">Names, types as the format spells them, and shapes.</param>
    /// <param name="metadata">What the file says of itself besides; null for nothing.</param>
    /// <exception cref="ArgumentException">A name is taken or reserved.</exception>
    public SafetensorsLayout(
        IEnumerable<(string Name, string TypeName, IReadOnlyList<long> Shape)> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        var entries = new List<SafetensorsEntry>();
        var names = new HashSet<string>(StringComparer.Ordinal);
        var offset = 0L;
        foreach (var (name, type, shape) in tensors
            .OrderByDescending(tensor => SafetensorsType.BitsOf(tensor.TypeName)).ThenBy(tensor => tensor.Name, StringComparer.Ordinal))
        {
            if (name == SafetensorsHeader.MetadataKey || !names.Add(name))
                throw new ArgumentException($"A tensor cannot be called {name}: the name is taken.", nameof(tensors));
            var bytes = TensorPart.ElementsOf(shape) * SafetensorsType.BitsOf(type)!.Value / 8;
            entries.Add(new SafetensorsEntry(name, type, shape, offset, bytes));
            offset += bytes;
        }

        Entries = entries;
        Header = HeaderOf(entries, metadata);
        Length = Header.Length + offset;
    }

    /// <summary>The tensors, in the order of their bytes.</summary>
    public IReadOnlyList<SafetensorsEntry> Entries { get; }

    /// <summary>The length and the JSON, with blanks behind that align what follows.</summary>
    public byte[] Header { get; }

    /// <summary>Bytes of the file.</summary>
    public long Length { get; }

    private static byte[] HeaderOf(IEnumerable<SafetensorsEntry> entries, IReadOnlyDictionary<string, string>? metadata)
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

            foreach (var entry in entries)
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
