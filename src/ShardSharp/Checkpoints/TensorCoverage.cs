namespace ShardSharp.Checkpoints;

/// <summary>Whether parts make up a tensor: every element in exactly one of them.</summary>
internal static class TensorCoverage
{
    /// <summary>Says what is wrong with the parts; null where every element is in exactly one.</summary>
    /// <remarks>
    /// Parts of one layout are runs of it, and must follow one another without a gap; the layouts of a tensor divide the same dimension, and
    /// their ranges must do so too. Nothing that ranks hold is divided otherwise, so a stranger arrangement is an error, not a challenge.
    /// </remarks>
    public static string? Problem(IReadOnlyList<TensorPart> parts)
    {
        var some = parts.Where(part => part.Count > 0).ToList();
        if (some.Count == 0)
            return parts.Count > 0 && parts[0].Elements == 0 ? null : "no part has any of its elements";
        var layouts = some.GroupBy(part => part.Layout, StringComparer.Ordinal).ToList();
        if (layouts.Select(layout => layout.First().Dimension).Distinct().Count() > 1)
            return "its parts divide it along different dimensions";
        foreach (var layout in layouts)
        {
            var end = 0L;
            foreach (var part in layout.OrderBy(part => part.Start))
            {
                if (part.Start != end)
                    return part.Start < end ? $"elements {part.Start} to {end} are in two parts" : $"elements {end} to {part.Start} are missing";
                end = part.End;
            }

            if (end != layout.First().LayoutElements)
                return $"elements {end} to {layout.First().LayoutElements} are missing";
        }

        return some[0].Dimension is { } dimension ? RangeProblem(layouts.Select(layout => layout.First()), some[0].Shape[dimension]) : null;
    }

    private static string? RangeProblem(IEnumerable<TensorPart> layouts, long size)
    {
        var end = 0L;
        foreach (var range in layouts.SelectMany(layout => layout.Ranges).OrderBy(range => range.Start))
        {
            if (range.Start != end)
                return range.Start < end ? $"indices {range.Start} to {end} are in two parts" : $"indices {end} to {range.Start} are missing";
            end = range.End;
        }

        return end == size ? null : $"indices {end} to {size} are missing";
    }
}
