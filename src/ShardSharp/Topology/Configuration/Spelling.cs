namespace ShardSharp.Topology;

/// <summary>Finds the name a misspelt one was meant to be.</summary>
internal static class Spelling
{
    /// <summary>The nearest of the names, or null when none is near: more than a quarter of the letters would have to change.</summary>
    public static string? Nearest(string written, IEnumerable<string> names)
    {
        var plain = Plain(written);
        (var name, var distance) = names.Select(name => (name, Distance(plain, Plain(name)))).MinBy(pair => pair.Item2);
        return distance <= Math.Max(1, plain.Length / 4) ? name : null;
    }

    // camelCase, kebab-case and PascalCase are no mistakes worth counting.
    private static string Plain(string name) => name.Replace("_", "", StringComparison.Ordinal)
        .Replace("-", "", StringComparison.Ordinal).ToLowerInvariant();

    /// <summary>The edits (insert, delete, replace, swap neighbours) from one text to another: optimal string alignment.</summary>
    private static int Distance(string from, string to)
    {
        var edits = new int[from.Length + 1, to.Length + 1];
        for (var i = 0; i <= from.Length; i++)
            edits[i, 0] = i;
        for (var j = 0; j <= to.Length; j++)
            edits[0, j] = j;
        for (var i = 1; i <= from.Length; i++)
            for (var j = 1; j <= to.Length; j++)
            {
                var replaced = edits[i - 1, j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1);
                edits[i, j] = Math.Min(replaced, Math.Min(edits[i - 1, j], edits[i, j - 1]) + 1);
                if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1])
                    edits[i, j] = Math.Min(edits[i, j], edits[i - 2, j - 2] + 1);
            }

        return edits[from.Length, to.Length];
    }
}
