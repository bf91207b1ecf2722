using System.Text;
using System.Text.Json;

namespace ShardSharp.Checkpoints;

/// <summary>The JSON at the beginning of a safetensors file, checked against the format before anything is read by it.</summary>
/// <remarks>https://github.com/huggingface/safetensors#format. A file may come from anybody, so nothing in it is believed.</remarks>
/// <param name="Entries">The tensors in the order of their bytes.</param>
/// <param name="Metadata">What <c>__metadata__</c> says; empty without it.</param>
internal sealed record SafetensorsHeader(IReadOnlyList<SafetensorsEntry> Entries, IReadOnlyDictionary<string, string> Metadata)
{
    /// <summary>The key of the metadata, which no tensor can have.</summary>
    public const string MetadataKey = "__metadata__";

    /// <summary>The file begins with the length of the header, as an unsigned little-endian number of this many bytes.</summary>
    public const int LengthBytes = sizeof(ulong);

    /// <summary>The longest header, in bytes, that the reference implementation accepts.</summary>
    public const long LongestHeader = 100_000_000;

    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    /// <param name="path">The file, for messages.</param>
    /// <param name="text">The header without the length before it.</param>
    /// <param name="dataBytes">How many bytes follow the header.</param>
    /// <exception cref="SafetensorsException">The header is not what the format demands.</exception>
    public static SafetensorsHeader Parse(string path, ReadOnlyMemory<byte> text, long dataBytes)
    {
        if (text.IsEmpty || text.Span[0] != '{')
            throw new SafetensorsException(path, "the header does not begin with '{': this is no safetensors file.");
        try
        {
            using var document = JsonDocument.Parse(text, Strict);
            var entries = new List<SafetensorsEntry>();
            IReadOnlyDictionary<string, string> metadata = new Dictionary<string, string>();
            foreach (var property in document.RootElement.EnumerateObject())
            {
                if (property.Name == MetadataKey)
                    metadata = ParseMetadata(path, property.Value);
                else
                    entries.Add(ParseEntry(path, property));
            }

            entries.Sort((left, right) => (left.Offset, left.Bytes).CompareTo((right.Offset, right.Bytes)));
            RequireGapless(path, entries, dataBytes);
            return new SafetensorsHeader(entries, metadata);
        }
        catch (Exception failure) when (failure is JsonException or InvalidOperationException or DecoderFallbackException)
        {
            throw new SafetensorsException(path, $"the header is not valid JSON: {failure.Message}", failure);
        }
    }

    private static Dictionary<string, string> ParseMetadata(string path, JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Object || value.EnumerateObject().Any(entry => entry.Value.ValueKind != JsonValueKind.String))
            throw new SafetensorsException(path, $"{MetadataKey} must map names to strings.");
        return value.EnumerateObject().ToDictionary(entry => entry.Name, entry => entry.Value.GetString()!);
    }

    private static SafetensorsEntry ParseEntry(string path, JsonProperty property)
    {
        var name = property.Name;
        if (property.Value.ValueKind != JsonValueKind.Object)
            throw Wrong("must be an object of dtype, shape and data_offsets");
        string? type = null;
        long[]? shape = null, offsets = null;
        foreach (var field in property.Value.EnumerateObject())
        {
            switch (field.Name)
            {
                case "dtype" when field.Value.ValueKind == JsonValueKind.String:
                    type = field.Value.GetString();
                    break;
                case "shape":
                    shape = Numbers(field.Value);
                    break;
                case "data_offsets":
                    offsets = Numbers(field.Value);
                    break;
                default:
                    throw Wrong($"has a key {field.Name} that the format does not have, or that is of the wrong kind");
            }
        }

        if (type is null || shape is null || offsets is not [var begin, var end])
            throw Wrong("must have a dtype, a shape and two data_offsets, all numbers whole and not negative");
        if (SafetensorsType.BitsOf(type) is not { } bits)
            throw Wrong($"has the unknown dtype {type}; known are {SafetensorsType.All}");
        if (end < begin)
            throw Wrong($"ends before it begins: data_offsets are [{begin}, {end}]");
        if (BytesOf(shape, bits) is not { } bytes)
            throw Wrong($"has shape [{string.Join(", ", shape)}] of {type}, which is no number of bytes");
        if (bytes != end - begin)
            throw Wrong($"has shape [{string.Join(", ", shape)}] of {type}, which is {bytes} bytes, but {end - begin} bytes of data");
        return new SafetensorsEntry(name, type, shape, begin, bytes);

        SafetensorsException Wrong(string problem) => new(path, $"tensor {name} {problem}.");
    }

    /// <summary>The whole numbers, none negative, of an array; null for anything else.</summary>
    private static long[]? Numbers(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Array)
            return null;
        var numbers = new long[value.GetArrayLength()];
        for (var i = 0; i < numbers.Length; i++)
        {
            if (value[i].ValueKind != JsonValueKind.Number || !value[i].TryGetInt64(out numbers[i]) || numbers[i] < 0)
                return null;
        }

        return numbers;
    }

    /// <summary>The bytes of a tensor; null if they are too many to count, or end within a byte.</summary>
    private static long? BytesOf(long[] shape, int bits)
    {
        UInt128 total = (uint)bits;
        foreach (var size in shape)
        {
            total *= (ulong)size;
            if (total > long.MaxValue)
                return null;
        }

        return total % 8 == 0 ? (long)(total / 8) : null;
    }

    /// <summary>Every byte of the file belongs to one tensor: then no two overlap, and nothing is hidden between them.</summary>
    private static void RequireGapless(string path, List<SafetensorsEntry> entries, long dataBytes)
    {
        long expected = 0;
        foreach (var entry in entries)
        {
            if (entry.Offset != expected)
            {
                var relation = entry.Offset < expected ? "overlaps the tensor before it" : "leaves a hole before it";
                throw new SafetensorsException(
                    path, $"tensor {entry.Name} {relation}: it begins at byte {entry.Offset} of the data instead of {expected}.");
            }

            expected += entry.Bytes;
        }

        if (expected != dataBytes)
        {
            var problem = expected > dataBytes ? "the file is cut short or damaged" : "bytes follow that belong to no tensor";
            throw new SafetensorsException(path, $"the header describes {expected} bytes of data, and the file has {dataBytes}: {problem}.");
        }
    }
}
