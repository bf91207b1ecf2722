using System.Globalization;

namespace ShardSharp.Activations;

/// <summary>Chooses the layers to checkpoint that cost least time within a budget of memory.</summary>
internal static class ActivationPlanner
{
    /// <summary>The best plan: no other choice of layers within the budget computes less again.</summary>
    /// <remarks>
    /// Dynamic programming over the layers in the order of forward. What decides is how much the layers so far keep and how long they take to
    /// compute again; of two beginnings, one that is no better in either is never the beginning of a better plan, and is dropped.
    /// </remarks>
    /// <param name="layers">The layers, in the order of forward.</param>
    /// <param name="budget">The most bytes that may be in use.</param>
    /// <exception cref="InvalidOperationException">Not even checkpointing all of them is enough; the message says how much would be.</exception>
    public static ActivationPlan Best(IReadOnlyList<LayerCost> layers, long budget)
    {
        var beginnings = new List<Beginning> { new(0, TimeSpan.Zero, null, false) };
        foreach (var layer in layers)
        {
            var next = beginnings.Where(beginning => beginning.Kept + layer.Kept <= budget)
                .SelectMany(beginning => new[]
                {
                    new Beginning(beginning.Kept + layer.Kept, beginning.Time, beginning, false),
                    new Beginning(beginning.Kept + layer.Returned, beginning.Time + layer.Forward, beginning, true),
                })
                .Where(beginning => beginning.Kept <= budget);
            beginnings = Undominated(next);
        }

        if (beginnings.Count == 0)
        {
            var least = ActivationPlan.PeakOf(layers, [.. layers.Select(layer => layer.Returned < layer.Kept)]);
            throw new InvalidOperationException(string.Create(
                CultureInfo.InvariantCulture,
                $"activation_memory_budget_mb = {budget / 1048576.0:0.##} is too little: with all layers checkpointed their activations take "
                + $"{least / 1048576.0:0.##} MiB. Raise it to that, or take more microbatches, or smaller batches."));
        }

        var chosen = new bool[layers.Count];
        var best = beginnings.MinBy(beginning => (beginning.Time, beginning.Kept))!;
        for (var i = layers.Count - 1; i >= 0; i--)
        {
            chosen[i] = best.IsCheckpointed;
            best = best.Before!;
        }

        return new ActivationPlan(layers, chosen, budget);
    }

    private static List<Beginning> Undominated(IEnumerable<Beginning> beginnings)
    {
        var kept = new List<Beginning>();
        foreach (var beginning in beginnings.OrderBy(beginning => beginning.Kept).ThenBy(beginning => beginning.Time))
        {
            if (kept.Count == 0 || beginning.Time < kept[^1].Time)
                kept.Add(beginning);
        }

        return kept;
    }

    /// <summary>A choice for the first layers.</summary>
    private sealed record Beginning(long Kept, TimeSpan Time, Beginning? Before, bool IsCheckpointed);
}
