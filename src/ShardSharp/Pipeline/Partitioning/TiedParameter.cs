namespace ShardSharp.Pipeline.Partitioning;

/// <summary>A parameter that is on several stages, which must keep it the same.</summary>
/// <param name="Name">Its name in the model.</param>
/// <param name="Stages">The stages with a part that uses it, in order.</param>
internal sealed record TiedParameter(string Name, IReadOnlyList<int> Stages)
{
    /// <summary>The parameters that a partition has on several stages.</summary>
    public static IReadOnlyList<TiedParameter> Of(PipelinePartition partition) =>
    [
        .. partition.Layers.Index()
            .SelectMany(layer => layer.Item.SharedParameters.Select(name => (Name: name, Stage: partition.StageOf(layer.Index))))
            .GroupBy(use => use.Name, use => use.Stage, StringComparer.Ordinal)
            .Select(uses => new TiedParameter(uses.Key, [.. uses.Distinct().Order()]))
            .Where(tied => tied.Stages.Count > 1),
    ];
}
