using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using ShardSharp.Modules;

namespace ShardSharp.Checkpoints;

/// <summary>Reads an index, and believes nothing of it: it may come from anybody.</summary>
internal sealed class CheckpointIndexReader
{
    /// <summary>No index is longer: that of a terabyte has some 100 MB.</summary>
    private const long LongestIndex = 1L << 30;

    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false, MaxDepth = 128 };

    private readonly string _path;

    private CheckpointIndexReader(string path) => _path = path;

    /// <param name="path">The index.</param>
    /// <exception cref="CheckpointException">It is damaged, of a newer version, or does not describe tensors that make sense.</exception>
    public static CheckpointIndex Read(string path)
    {
        var length = new FileInfo(path).Length;
        return length <= LongestIndex
            ? Parse(path, File.ReadAllBytes(path))
            : throw new CheckpointException(path, $"an index of {length} bytes is longer than {LongestIndex}.");
    }

    /// <param name="path">The index, for messages.</param>
    /// <param name="text">What it says.</param>
    /// <inheritdoc cref="Read"/>
    public static CheckpointIndex Parse(string path, ReadOnlyMemory<byte> text)
    {
        try
        {
            using var document = JsonDocument.Parse(text, Strict);
            return new CheckpointIndexReader(path).Parse(document.RootElement);
        }
        catch (Exception failure) when (failure is JsonException or InvalidOperationException or FormatException or ArgumentException)
        {
            throw new CheckpointException(path, $"the index is damaged: {failure.Message}", failure);
        }
    }

    private CheckpointIndex Parse(JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("format", out var format) || format.ValueKind != JsonValueKind.String
            || format.GetString() != CheckpointIndex.Format)
        {
            throw Wrong($"this is no index of a checkpoint, which has a format of {CheckpointIndex.Format}");
        }

        var version = Property(root, "version").GetInt32();
        if (version is < 1 or > CheckpointIndex.Version)
            throw Wrong($"it has version {version} of the format; this program reads up to {CheckpointIndex.Version}. Use a newer ShardSharp");
        var created = DateTime.Parse(
            Property(root, "created").GetString()!, CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal | DateTimeStyles.AssumeUniversal);
        var block = Property(root, "checksum_block").GetInt32();
        if (block != BlockChecksums.BlockBytes)
            throw Wrong($"it has checksums of {block} bytes each, instead of {BlockChecksums.BlockBytes}");
        var ranks = Property(root, "ranks").GetInt32();
        if (ranks < 1)
            throw Wrong($"it was saved by {ranks} ranks");
        var tensors = Property(root, "tensors").EnumerateObject().Select(ParseTensor).OrderBy(tensor => tensor.Name, StringComparer.Ordinal).ToList();
        RequireDistinctKeys(tensors);
        return new CheckpointIndex(created, ranks, tensors, JsonObject.Create(Property(root, "state").Clone())!);
    }

    private StoredTensor ParseTensor(JsonProperty property)
    {
        var type = Property(property.Value, "dtype").GetString()!;
        if (SafetensorsType.BitsOf(type) is not { } bits || bits % 8 != 0)
            throw Wrong($"tensor {property.Name} has the dtype {type}, whose elements are not bytes");
        var shape = Numbers(Property(property.Value, "shape"));
        _ = TensorPart.ElementsOf([.. shape, bits / 8]);
        var parts = Property(property.Value, "parts").EnumerateArray().Select(part => ParsePart(property.Name, part, shape, bits / 8)).ToList();
        return TensorCoverage.Problem([.. parts.Select(part => part.Part)]) is { } problem
            ? throw Wrong($"tensor {property.Name} is not complete: {problem}")
            : new StoredTensor(property.Name, type, shape, parts);
    }

    private StoredPart ParsePart(string name, JsonElement value, long[] shape, int elementSize)
    {
        var file = Property(value, "file").GetString() ?? "";

        // A name, and not a path: an index from somewhere else must not make us read files of this machine.
        if (file is "" or "." or ".." || file.AsSpan().ContainsAny('/', '\\', '\0') || Path.IsPathRooted(file))
            throw Wrong($"tensor {name} is said to be in '{file}', which is no file name");
        int? dimension = value.TryGetProperty("dimension", out var divided) ? divided.GetInt32() : null;
        IndexRange[] ranges = dimension is null ? [] : [.. Property(value, "ranges").EnumerateArray().Select(RangeOf)];
        var part = new TensorPart(shape, dimension, ranges, Property(value, "start").GetInt64(), Property(value, "count").GetInt64());
        var checksums = BlockChecksums.FromText(Property(value, "crc32c").GetString() ?? "");
        return checksums?.LongLength == BlockChecksums.CountOf(part.Count * elementSize)
            ? new StoredPart(file, Property(value, "key").GetString() ?? "", part, checksums)
            : throw Wrong($"a part of tensor {name} in {file} has no checksum for each {BlockChecksums.BlockBytes} of its bytes");
    }

    private IndexRange RangeOf(JsonElement value) => Numbers(value) is [var start, var length]
        ? new IndexRange(start, length)
        : throw Wrong("a range is a start and a length");

    /// <summary>Two parts that are the same bytes would be written twice, or are one tensor under two names.</summary>
    private void RequireDistinctKeys(IEnumerable<StoredTensor> tensors)
    {
        var seen = new HashSet<(string, string)>();
        foreach (var tensor in tensors)
        {
            foreach (var part in tensor.Parts)
            {
                if (!seen.Add((part.File, part.Key)))
                    throw Wrong($"{part.Key} in {part.File} is said to be a part twice, the second time of {tensor.Name}");
            }
        }
    }

    private JsonElement Property(JsonElement value, string name) =>
        value.ValueKind == JsonValueKind.Object && value.TryGetProperty(name, out var property) ? property : throw Wrong($"{name} is missing");

    private static long[] Numbers(JsonElement value) => [.. value.EnumerateArray().Select(number => number.GetInt64())];

    private CheckpointException Wrong(string problem) => new(_path, problem + ".");
}
