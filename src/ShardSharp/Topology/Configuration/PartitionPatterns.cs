using System.Globalization;
using System.IO.Enumeration;

namespace ShardSharp.Topology;

/// <summary>Stages of modules by patterns of their names, such as <c>layers.0=0, layers.*=1</c>.</summary>
internal sealed class PartitionPatterns
{
    private readonly (string Text, int Stage)[] _patterns;

    private PartitionPatterns((string, int)[] patterns) => _patterns = patterns;

    /// <summary>No pattern.</summary>
    public static PartitionPatterns None { get; } = new([]);

    /// <summary>Reads patterns; null if the text is none.</summary>
    /// <param name="text">Names, in which <c>*</c> stands for anything and <c>?</c> for one character, each with its stage, separated by commas.</param>
    public static PartitionPatterns? TryParse(string text)
    {
        var patterns = new List<(string, int)>();
        foreach (var one in text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            if (one.Split('=', StringSplitOptions.TrimEntries) is not [{ Length: > 0 } name, var number]
                || !int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var stage))
                return null;
            patterns.Add((name, stage));
        }

        return patterns.Count > 0 ? new PartitionPatterns([.. patterns]) : null;
    }

    /// <summary>The first pattern that fits a module or one above it; null if none does.</summary>
    public (string Text, int Stage)? Find(string name) =>
        _patterns.Select(pattern => ((string Text, int Stage)?)pattern).FirstOrDefault(pattern => Fits(pattern!.Value.Text, name));

    /// <summary>Checks that every pattern is there for something.</summary>
    /// <exception cref="ArgumentException">One fits no part.</exception>
    public void RequireUsed(IReadOnlyList<string> names)
    {
        if (_patterns.Select(pattern => pattern.Text).FirstOrDefault(text => !names.Any(name => Fits(text, name))) is { } idle)
            throw new ArgumentException($"The pattern '{idle}' of partition_patterns fits no part of the model: {string.Join(", ", names)}.");
    }

    private static bool Fits(string pattern, string name)
    {
        for (var above = name; ; above = above[..above.LastIndexOf('.')])
        {
            if (FileSystemName.MatchesSimpleExpression(pattern, above, ignoreCase: false))
                return true;
            if (!above.Contains('.', StringComparison.Ordinal))
                return false;
        }
    }
}
