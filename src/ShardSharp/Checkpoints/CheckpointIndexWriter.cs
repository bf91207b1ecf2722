using System.Globalization;
using System.Text.Json;

namespace ShardSharp.Checkpoints;

/// <summary>The JSON of an index; docs/checkpoints.md specifies it.</summary>
internal static class CheckpointIndexWriter
{
    public static byte[] ToBytes(CheckpointIndex index)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, IndentSize = 1 }))
        {
            json.WriteStartObject();
            json.WriteString("format", CheckpointIndex.Format);
            json.WriteNumber("version", CheckpointIndex.Version);
            json.WriteString("created", index.Created.ToString("O", CultureInfo.InvariantCulture));
            json.WriteNumber("ranks", index.Ranks);
            json.WriteNumber("checksum_block", BlockChecksums.BlockBytes);
            json.WriteStartObject("tensors");
            foreach (var tensor in index.Tensors)
                Write(json, tensor);
            json.WriteEndObject();
            json.WritePropertyName("state");
            index.State.WriteTo(json);
            json.WriteEndObject();
        }

        return stream.ToArray();
    }

    private static void Write(Utf8JsonWriter json, StoredTensor tensor)
    {
        json.WriteStartObject(tensor.Name);
        json.WriteString("dtype", tensor.TypeName);
        json.WritePropertyName("shape");
        json.WriteRawValue($"[{string.Join(",", tensor.Shape)}]");
        json.WriteStartArray("parts");
        foreach (var (file, key, part, checksums) in tensor.Parts)
        {
            json.WriteStartObject();
            json.WriteString("file", file);
            json.WriteString("key", key);
            if (part.Dimension is { } dimension)
            {
                json.WriteNumber("dimension", dimension);
                json.WritePropertyName("ranges");
                json.WriteRawValue($"[{string.Join(",", part.Ranges.Select(range => $"[{range.Start},{range.Length}]"))}]");
            }

            json.WriteNumber("start", part.Start);
            json.WriteNumber("count", part.Count);
            json.WriteString("crc32c", BlockChecksums.ToText(checksums));
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }
}
