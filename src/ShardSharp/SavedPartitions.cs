using System.Globalization;
using System.Text.Json.Nodes;
using ShardSharp.Checkpoints;
using ShardSharp.Pipeline.Partitioning;

namespace ShardSharp;

/// <summary>How the models of a checkpoint were cut into the stages of a pipeline.</summary>
/// <param name="Texts">Partitions as <see cref="PipelinePartitionFile"/> writes them, by the number that the model has in the session.</param>
internal sealed record SavedPartitions(IReadOnlyDictionary<int, string> Texts)
{
    /// <summary>Under which key of a checkpoint's state they are.</summary>
    public const string Key = "partitions";

    /// <summary>How many models were cut.</summary>
    public int Count => Texts.Count;

    /// <summary>Those of models; null where one is not cut.</summary>
    public static SavedPartitions Of(IEnumerable<(int Number, PipelinePartition? Partition)> models) =>
        new(models.Where(model => model.Partition is not null).ToDictionary(model => model.Number, model => PipelinePartitionFile.Format(model.Partition!)));

    /// <summary>Those of a checkpoint.</summary>
    /// <param name="path">The checkpoint, for messages.</param>
    /// <param name="state">What it has besides tensors.</param>
    /// <exception cref="CheckpointException">They are damaged.</exception>
    public static SavedPartitions Of(string path, JsonObject state)
    {
        try
        {
            var texts = (state[Key]?.AsObject() ?? []).ToDictionary(
                entry => int.Parse(entry.Key, CultureInfo.InvariantCulture), entry => entry.Value?.ToJsonString() ?? "null");
            foreach (var text in texts.Values)
                PipelinePartitionFile.Parse(text);
            return new SavedPartitions(texts);
        }
        catch (Exception failure) when (failure is FormatException or InvalidOperationException or OverflowException)
        {
            throw new CheckpointException(path, $"the partition of its model is damaged: {failure.Message}", failure);
        }
    }

    /// <summary>For a checkpoint.</summary>
    public JsonObject ToJson() =>
        new(Texts.Select(text => KeyValuePair.Create(text.Key.ToString(CultureInfo.InvariantCulture), JsonNode.Parse(text.Value))));

    /// <summary>The partition of a model; null if it was not cut.</summary>
    public string? Of(int model) => Texts.GetValueOrDefault(model);

    /// <summary>Whether a model is cut as this says, or into another number of stages.</summary>
    public bool AllowsFor(int model, PipelinePartition? partition)
    {
        if (partition is null || Of(model) is not { } text)
            return true;
        var saved = PipelinePartitionFile.Parse(text);
        return saved.Stages.Count != partition.Stages.Count
            || saved.Stages.Select(stage => stage.Count).SequenceEqual(partition.Stages.Select(stage => stage.Count));
    }
}
