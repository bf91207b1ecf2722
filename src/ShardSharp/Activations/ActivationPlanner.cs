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
        var beginnings = new List<Beginning> { new(0, TimeSpan.Zero, null, default) };
        foreach (var layer in layers)
        {
            var next = beginnings
                .SelectMany(beginning => layer.Choices.Where(choice => beginning.Kept + layer.PeakOf(choice) <= budget).Select(choice => new Beginning(
                    beginning.Kept + layer.BytesOf(choice), beginning.Time + layer.TimeOf(choice), beginning, choice)))
                .Where(beginning => beginning.Kept <= budget);
            beginnings = Undominated(next);
        }

        if (beginnings.Count == 0)
        {
            // The last layer may as well keep what it would compute again at once.
            LayerChoice[] most = [.. layers.Select(layer => layer.Choices.MinBy(layer.BytesOf))];
            var least = Math.Min(ActivationPlan.PeakOf(layers, most), ActivationPlan.PeakOf(layers, [.. most.SkipLast(1), LayerChoice.Keep]));
            throw new InvalidOperationException(string.Create(
                CultureInfo.InvariantCulture,
                $"activation_memory_budget_mb = {budget / 1048576.0:0.##} is too little: with all layers checkpointed their activations take "
                + $"{least / 1048576.0:0.##} MiB. Raise it to that, or take more microbatches, or smaller batches."));
        }

        var chosen = new LayerChoice[layers.Count];
        var best = beginnings.MinBy(beginning => (beginning.Time, beginning.Kept))!;
        for (var i = layers.Count - 1; i >= 0; i--)
        {
            chosen[i] = best.Choice;
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
    private sealed record Beginning(long Kept, TimeSpan Time, Beginning? Before, LayerChoice Choice);
}
