using System.Globalization;

namespace ShardSharp.Topology;

/// <summary>Stages of modules by patterns of their names, such as <c>layers.0=0, layers.*=1</c>.</summary>
internal sealed class PartitionPatterns
{
    private readonly (NamePattern Pattern, int Stage)[] _patterns;

    private PartitionPatterns((NamePattern, int)[] patterns) => _patterns = patterns;

    /// <summary>No pattern.</summary>
    public static PartitionPatterns None { get; } = new([]);

    /// <summary>Reads patterns; null if the text is none.</summary>
    /// <param name="text">Patterns for names (<see cref="NamePattern"/>), each with its stage, separated by commas.</param>
    public static PartitionPatterns? TryParse(string text)
    {
        var patterns = new List<(NamePattern, int)>();
        foreach (var one in text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            if (one.Split('=', StringSplitOptions.TrimEntries) is not [{ Length: > 0 } name, var number]
                || !int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var stage))
                return null;
            patterns.Add((new NamePattern(name), stage));
        }

        return patterns.Count > 0 ? new PartitionPatterns([.. patterns]) : null;
    }

    /// <summary>The first pattern that fits a module or one above it; null if none does.</summary>
    public (string Text, int Stage)? Find(string name) =>
        _patterns.Where(each => each.Pattern.FitsWithin(name)).Select(each => ((string, int)?)(each.Pattern.Text, each.Stage)).FirstOrDefault();

    /// <summary>Checks that every pattern is there for something.</summary>
    /// <exception cref="ArgumentException">One fits no part.</exception>
    public void RequireUsed(IReadOnlyList<string> names)
    {
        if (_patterns.Select(each => each.Pattern).FirstOrDefault(pattern => !names.Any(pattern.FitsWithin)) is { } idle)
        {
            throw new ArgumentException(
                $"The pattern '{idle.Text}' of partition_patterns fits no part of the model ('*' stands for no dot, '**' does): {string.Join(", ", names)}.");
        }
    }
}
