namespace ShardSharp.Pipeline.Partitioning;

/// <summary>Cuts a model's layers into stages of consecutive layers so that the most expensive stage costs as little as is possible.</summary>
/// <remarks>
/// SMP's paper walks the tree of modules and shares devices out in proportion to cost. On a chain of layers the optimum can be had exactly,
/// by dynamic programming over the cuts, in time proportional to stages × layers².
/// </remarks>
public static class PipelinePartitioner
{
    /// <summary>Cuts the layers.</summary>
    /// <param name="layers">The layers, in the order in which forward runs them.</param>
    /// <param name="stages">How many stages; each gets at least one layer.</param>
    /// <param name="memoryWeight">How much memory counts against time, 0 to 1 (<c>memory_weight</c>).</param>
    /// <param name="stageBytes">The most bytes of parameters and activations in one stage; null for any number.</param>
    /// <returns>The optimal partition; of those with the same most expensive stage, the one with the least sum of squared costs.</returns>
    /// <exception cref="ArgumentException">There are fewer places to cut than stages need, or no partition keeps within the limit; the message
    /// says what would.</exception>
    public static PipelinePartition Partition(IReadOnlyList<LayerCost> layers, int stages, double memoryWeight = 0.8, long? stageBytes = null)
    {
        ArgumentNullException.ThrowIfNull(layers);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(stages);
        ArgumentOutOfRangeException.ThrowIfNegative(memoryWeight);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(memoryWeight, 1);
        if (layers.FirstOrDefault(layer => !(layer.Time >= 0) || layer.ParameterBytes < 0 || layer.ActivationBytes < 0) is { } wrong)
            throw new ArgumentException($"Layer '{wrong.Name}' has a negative cost.", nameof(layers));

        var ends = CutPoints(layers);
        if (ends.Length < stages)
            throw new ArgumentException(TooFewLayers(layers, stages, ends.Length), nameof(stages));

        var costs = new StageCosts(layers, memoryWeight);
        var limit = stageBytes ?? long.MaxValue;
        var bottleneck = Best(costs, ends, stages, double.PositiveInfinity, limit, Math.Max, stage => stage.Cost);
        if (bottleneck is null)
            throw new ArgumentException(TooSmall(costs, ends, stages, limit), nameof(stageBytes));
        var most = bottleneck.Max(stage => stage.Cost);
        return new PipelinePartition(
            layers, Best(costs, ends, stages, most, limit, (left, right) => left + right, stage => stage.Cost * stage.Cost)!);
    }

    /// <summary>Where stages may end: after every layer that no shared parameter ties to a later one.</summary>
    private static int[] CutPoints(IReadOnlyList<LayerCost> layers)
    {
        var last = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var i = 0; i < layers.Count; i++)
        {
            foreach (var parameter in layers[i].SharedParameters)
                last[parameter] = i;
        }

        var (ends, tiedUntil) = (new List<int>(), 0);
        for (var i = 0; i < layers.Count; i++)
        {
            foreach (var parameter in layers[i].SharedParameters)
                tiedUntil = Math.Max(tiedUntil, last[parameter]);
            if (i >= tiedUntil)
                ends.Add(i + 1);
        }

        return [.. ends];
    }

    /// <summary>
    /// The stages, ending at some of <paramref name="ends"/>, that minimise a measure of their costs; null where none keeps within the limits.
    /// </summary>
    private static PipelineStage[]? Best(
        StageCosts costs, int[] ends, int stages, double mostCost, long mostBytes, Func<double, double, double> combine,
        Func<PipelineStage, double> measure)
    {
        // best[s, e]: the least measure of s stages that end at the e-th cut; from[s, e]: the cut where the last of them begins.
        var best = new double[stages + 1, ends.Length + 1];
        var from = new int[stages + 1, ends.Length + 1];
        for (var s = 0; s <= stages; s++)
        {
            for (var e = 0; e <= ends.Length; e++)
                best[s, e] = double.PositiveInfinity;
        }

        best[0, 0] = 0;
        for (var s = 1; s <= stages; s++)
        {
            for (var e = s; e <= ends.Length - (stages - s); e++)
            {
                for (var b = e - 1; b >= s - 1; b--)
                {
                    var stage = costs.Stage(Begin(b), ends[e - 1]);
                    if (stage.Cost > mostCost || stage.Bytes > mostBytes)
                        break;
                    var value = combine(best[s - 1, b], measure(stage));
                    if (value < best[s, e])
                        (best[s, e], from[s, e]) = (value, b);
                }
            }
        }

        if (double.IsPositiveInfinity(best[stages, ends.Length]))
            return null;
        var found = new PipelineStage[stages];
        for (var (s, e) = (stages, ends.Length); s > 0; e = from[s, e], s--)
            found[s - 1] = costs.Stage(Begin(from[s, e]), ends[e - 1]);
        return found;

        int Begin(int cut) => cut == 0 ? 0 : ends[cut - 1];
    }

    private static string TooFewLayers(IReadOnlyList<LayerCost> layers, int stages, int parts) =>
        $"{stages} stages need {stages} parts to be cut into; the model's {layers.Count} layers make {parts}"
        + (parts < layers.Count ? ", since layers that share a parameter stay together." : ".") + $" Use at most {parts} stages.";

    private static string TooSmall(StageCosts costs, int[] ends, int stages, long limit)
    {
        var least = Best(costs, ends, stages, double.PositiveInfinity, long.MaxValue, Math.Max, stage => stage.Bytes)!.Max(stage => stage.Bytes);
        return $"No cut into {stages} stages keeps each within {limit} bytes; {least} bytes is the least that would do with as many stages.";
    }
}
