using System.Globalization;
using System.Text;

namespace ShardSharp.Activations;

/// <summary>Which layers of a model are checkpointed to stay within a budget of memory, and what that is expected to cost.</summary>
public sealed class ActivationPlan
{
    internal ActivationPlan(IReadOnlyList<LayerCost> layers, IReadOnlyList<LayerChoice> choices, long budget)
    {
        (Layers, Choices, Budget) = (layers, choices, budget);
        PredictedBytes = PeakOf(layers, choices);
        PredictedTime = layers.Zip(choices).Aggregate(TimeSpan.Zero, (sum, layer) => sum + layer.First.TimeOf(layer.Second));
    }

    /// <summary>The most bytes that the activations of these layers may take in a microbatch.</summary>
    public long Budget { get; }

    /// <summary>The most bytes they are expected to take.</summary>
    public long PredictedBytes { get; }

    /// <summary>The time of a microbatch that computing again is expected to take.</summary>
    public TimeSpan PredictedTime { get; }

    /// <summary>The most bytes they have taken in a microbatch of the latest step; null before the first one by the plan.</summary>
    public long? MeasuredBytes { get; internal set; }

    /// <summary>The time of a microbatch of that step that computing again has taken.</summary>
    public TimeSpan? MeasuredTime { get; internal set; }

    /// <summary>Names of the layers that compute everything again.</summary>
    public IEnumerable<string> Checkpointed => NamesOf(LayerChoice.Recompute);

    /// <summary>Names of the layers that keep what linear layers return and compute the rest again.</summary>
    public IEnumerable<string> SelectivelyCheckpointed => NamesOf(LayerChoice.Selective);

    internal IReadOnlyList<LayerCost> Layers { get; }

    internal IReadOnlyList<LayerChoice> Choices { get; }

    /// <summary>The plan in a few lines: which layers, and what is expected beside what was measured.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"Activation plan: {Checkpointed.Count()} of {Layers.Count} layers checkpointed");
        text.Append(CultureInfo.InvariantCulture, $" ({string.Join(", ", Checkpointed.DefaultIfEmpty("none"))}), {SelectivelyCheckpointed.Count()} selectively");
        text.Append(CultureInfo.InvariantCulture, $" ({string.Join(", ", SelectivelyCheckpointed.DefaultIfEmpty("none"))}), budget {Mebibytes(Budget)}.");
        text.Append(CultureInfo.InvariantCulture, $" Predicted {Mebibytes(PredictedBytes)}, {PredictedTime.TotalMilliseconds:0.0} ms per microbatch");
        if (MeasuredBytes is { } bytes && MeasuredTime is { } time)
            text.Append(CultureInfo.InvariantCulture, $"; measured {Mebibytes(bytes)}, {time.TotalMilliseconds:0.0} ms");
        return text.Append('.').ToString();
    }

    /// <summary>
    /// The most bytes in use of a choice: at the end of forward, or in backward at a checkpointed layer, when it has computed again, with the gradient
    /// of what it returns, and what the layers after it kept has gone.
    /// </summary>
    internal static long PeakOf(IReadOnlyList<LayerCost> layers, IReadOnlyList<LayerChoice> choices)
    {
        long kept = 0, peak = 0;
        for (var i = 0; i < layers.Count; i++)
        {
            peak = Math.Max(peak, kept + layers[i].PeakOf(choices[i]));
            kept += layers[i].BytesOf(choices[i]);
        }

        return Math.Max(peak, kept);
    }

    private IEnumerable<string> NamesOf(LayerChoice choice) => Layers.Zip(Choices).Where(layer => layer.Second == choice).Select(layer => layer.First.Name);

    private static string Mebibytes(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1048576.0:0.0} MiB");
}
