namespace TrainGpt.Reporting;

/// <summary>A curve drawn with block characters on one line of text.</summary>
public static class Sparkline
{
    private const string Heights = "▁▂▃▄▅▆▇█";

    /// <summary>Characters in a line at most.</summary>
    public const int Width = 60;

    /// <summary>Each character is the mean of an equal share of <paramref name="values"/>.</summary>
    public static string Draw(IReadOnlyList<double> values)
    {
        var width = Math.Min(Width, values.Count);
        var means = Enumerable.Range(0, width)
            .Select(i => (Start: i * values.Count / width, End: (i + 1) * values.Count / width))
            .Select(share => Enumerable.Range(share.Start, share.End - share.Start).Average(i => values[i]))
            .ToArray();
        if (means.Length == 0)
            return string.Empty;
        var (low, range) = (means.Min(), Math.Max(means.Max() - means.Min(), 1e-9));
        return string.Concat(means.Select(mean => Heights[(int)Math.Round((mean - low) / range * (Heights.Length - 1))]));
    }
}
