using System.Globalization;
using System.Text.Json.Nodes;
using ShardSharp.Checkpoints;
using ShardSharp.Pipeline.Partitioning;

namespace ShardSharp.Cli;

/// <summary>What a checkpoint has, in words.</summary>
internal static class CheckpointText
{
    /// <summary>Prints a checkpoint.</summary>
    /// <param name="output">Where to.</param>
    /// <param name="reader">The checkpoint.</param>
    /// <param name="parts">Whether to show where the parts of each tensor lie.</param>
    public static void Write(TextWriter output, CheckpointReader reader, bool parts)
    {
        var index = reader.Index;
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"saved {index.Created:yyyy-MM-dd HH:mm:ss} UTC by {Count(index.Ranks, "rank")}: {Count(index.Tensors.Count, "tensor")}, {Size(index.Bytes)} in {Count(index.Files.Count(), "file")}"));
        foreach (var (model, text) in SavedPartitions.Of(reader.Folder, index.State).Texts)
            output.WriteLine($"model {model} in stages: {Stages(PipelinePartitionFile.Parse(text))}");
        foreach (var optimizer in index.State["optimizers"]?.AsArray() ?? [])
            output.WriteLine($"optimizer {(string?)optimizer?["Type"]}, steps {Steps(optimizer)}");
        foreach (var (i, position) in (index.State["data"]?.AsArray() ?? []).Index())
            output.WriteLine($"data {i}: epoch {position?["Epoch"]}, {position?["Batches"]} batches");
        foreach (var scheduler in index.State["schedulers"]?.AsArray() ?? [])
            output.WriteLine($"scheduler {(string?)scheduler?["type"]}, step {scheduler?["_last_epoch"]}");
        if (index.State["user_content"] is { } content)
            output.WriteLine($"user content: {content.ToJsonString()}");
        foreach (var tensor in index.Tensors)
        {
            output.WriteLine($"{tensor.Name}  {tensor.TypeName} [{string.Join(", ", tensor.Shape)}]");
            foreach (var part in parts ? tensor.Parts : [])
                output.WriteLine($"  {part.File}: {(part.Part.Dimension is null ? "" : part.Part.Layout + " ")}{part.Part.Start}..{part.Part.End}");
        }
    }

    private static string Stages(PipelinePartition partition) =>
        string.Join(", ", partition.Stages.Select(stage =>
        {
            var (first, last) = (partition.Layers[stage.First].Name, partition.Layers[stage.First + stage.Count - 1].Name);
            return first == last ? first : $"{first} to {last}";
        }));

    private static string Steps(JsonNode? optimizer)
    {
        var steps = optimizer?["Numbers"]?["step"]?.AsObject().Select(entry => entry.Value!.GetValue<double>()).Distinct().Order().ToArray() ?? [];
        return steps.Length == 0 ? "unknown" : string.Join(" to ", new[] { steps[0], steps[^1] }.Distinct());
    }

    private static string Count(int count, string noun) => $"{count} {noun}{(count == 1 ? "" : "s")}";

    private static string Size(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1048576.0:F1} MiB");
}
