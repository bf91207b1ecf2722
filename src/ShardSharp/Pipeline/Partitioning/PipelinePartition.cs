using System.Globalization;
using System.Text;

namespace ShardSharp.Pipeline.Partitioning;

/// <summary>A model's layers cut into stages.</summary>
/// <param name="Layers">The layers, in the order in which forward runs them.</param>
/// <param name="Stages">The stages in order; each begins where the one before ends.</param>
public sealed record PipelinePartition(IReadOnlyList<LayerCost> Layers, IReadOnlyList<PipelineStage> Stages)
{
    /// <summary>How much the most expensive stage costs beyond an equal share: 0 when all cost the same.</summary>
    public double Imbalance => (Stages.Max(stage => stage.Cost) * Stages.Count) - 1;

    /// <summary>A partition that has been decided.</summary>
    internal static PipelinePartition Of(IReadOnlyList<LayerCost> layers, IReadOnlyList<int> counts, double memoryWeight)
    {
        var costs = new StageCosts(layers, memoryWeight);
        var (stages, first) = (new List<PipelineStage>(), 0);
        foreach (var count in counts)
        {
            stages.Add(costs.Stage(first, first + count));
            first += count;
        }

        return new PipelinePartition(layers, stages);
    }

    /// <summary>The stage of a layer.</summary>
    /// <param name="layer">Index of the layer.</param>
    public int StageOf(int layer)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(layer);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(layer, Layers.Count);
        var stage = 0;
        while (layer >= Stages[stage].First + Stages[stage].Count)
            stage++;
        return stage;
    }

    /// <summary>A table: stage, layers, its part of the cost, of the time and of the memory.</summary>
    public override string ToString()
    {
        var (time, bytes) = (Stages.Sum(stage => stage.Time), Stages.Sum(stage => stage.Bytes));
        var table = new StringBuilder("stage  layers                                     cost    time  memory\n");
        foreach (var (index, stage) in Stages.Index())
        {
            var names = $"{Layers[stage.First].Name}{(stage.Count > 1 ? $" to {Layers[stage.First + stage.Count - 1].Name}" : "")} ({stage.Count})";
            table.Append(
                CultureInfo.InvariantCulture,
                $"{index,5}  {names,-40} {stage.Cost,6:P1}  {(time > 0 ? stage.Time / time : 0),6:P1}  {(bytes > 0 ? stage.Bytes / (double)bytes : 0),6:P1}\n");
        }

        return table.ToString();
    }
}
