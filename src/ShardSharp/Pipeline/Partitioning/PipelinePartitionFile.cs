using System.Text.Json;
using System.Text.Json.Serialization;

namespace ShardSharp.Pipeline.Partitioning;

/// <summary>A partition as JSON: which parts of the model are on which stage, and what they cost.</summary>
/// <remarks>Written by hand, it needs the names alone: <c>{"version": 1, "stages": [{"parts": [{"name": "embedding"}]}, ...]}</c>.</remarks>
public static class PipelinePartitionFile
{
    private const int Version = 1;

    private static readonly JsonSerializerOptions Options = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        AllowDuplicateProperties = false,
        RespectRequiredConstructorParameters = true,
        RespectNullableAnnotations = true,
        ReadCommentHandling = JsonCommentHandling.Skip,
        AllowTrailingCommas = true,
    };

    /// <summary>The partition as JSON.</summary>
    /// <param name="partition">The partition.</param>
    public static string Format(PipelinePartition partition)
    {
        ArgumentNullException.ThrowIfNull(partition);
        return JsonSerializer.Serialize(
            new Document(Version, [.. partition.Stages.Select(stage => new Stage(
            [
                .. partition.Layers.Skip(stage.First).Take(stage.Count)
                    .Select(layer => new Part(layer.Name, layer.Time, layer.ParameterBytes, layer.ActivationBytes, layer.SharedParameters)),
            ]))]),
            Options);
    }

    /// <summary>Reads a partition.</summary>
    /// <param name="json">What <see cref="Format"/> wrote, or someone by hand.</param>
    /// <param name="memoryWeight">How much memory counts against time in the costs of the stages.</param>
    /// <exception cref="FormatException">It is no partition; the message says where.</exception>
    public static PipelinePartition Parse(string json, double memoryWeight = 0.8)
    {
        ArgumentNullException.ThrowIfNull(json);
        Document document;
        try
        {
            document = JsonSerializer.Deserialize<Document>(json, Options) ?? throw new FormatException("The partition is null.");
        }
        catch (JsonException failure)
        {
            throw new FormatException($"This is no partition of a model: {failure.Message}", failure);
        }

        if (document.Version != Version)
            throw new FormatException($"The partition has version {document.Version}; this library reads version {Version}.");
        if (document.Stages.Count == 0)
            throw new FormatException("The partition has no stage.");
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (index, stage) in document.Stages.Index())
        {
            if (stage.Parts.Count == 0)
                throw new FormatException($"Stage {index} of the partition has no parts; each stage needs one.");
            if (stage.Parts.FirstOrDefault(part => !names.Add(part.Name)) is { } twice)
                throw new FormatException($"The partition has the part '{twice.Name}' twice.");
            if (stage.Parts.FirstOrDefault(part => !(part.Time >= 0) || part.ParameterBytes < 0 || part.ActivationBytes < 0) is { } wrong)
                throw new FormatException($"The part '{wrong.Name}' of the partition has a negative cost.");
        }

        LayerCost[] layers =
        [
            .. document.Stages.SelectMany(stage => stage.Parts).Select(part =>
                new LayerCost(part.Name, part.Time, part.ParameterBytes, part.ActivationBytes) { SharedParameters = part.SharedParameters ?? [] }),
        ];
        return PipelinePartition.Of(layers, [.. document.Stages.Select(stage => stage.Parts.Count)], memoryWeight);
    }

    private sealed record Document(int Version, IReadOnlyList<Stage> Stages);

    private sealed record Stage(IReadOnlyList<Part> Parts);

    private sealed record Part(
        string Name, double Time = 0, long ParameterBytes = 0, long ActivationBytes = 0, IReadOnlyList<string>? SharedParameters = null);
}
