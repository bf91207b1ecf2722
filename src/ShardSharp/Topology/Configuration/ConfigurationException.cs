namespace ShardSharp.Topology;

/// <summary>A configuration cannot be used. The message lists everything that is wrong with it, each with a value that works.</summary>
public sealed class ConfigurationException : Exception
{
    /// <summary>An exception that reports <paramref name="violations"/>.</summary>
    /// <param name="violations">What is wrong; at least one.</param>
    /// <exception cref="ArgumentException">There are no violations.</exception>
    public ConfigurationException(IReadOnlyList<ConfigurationViolation> violations)
        : base(Report(violations)) => Violations = violations;

    /// <summary>Everything that is wrong, in the order it was found.</summary>
    public IReadOnlyList<ConfigurationViolation> Violations { get; }

    private static string Report(IReadOnlyList<ConfigurationViolation> violations)
    {
        ArgumentNullException.ThrowIfNull(violations);
        if (violations.Count == 0)
            throw new ArgumentException("A configuration without violations is no error.", nameof(violations));
        var count = violations.Count == 1 ? "1 problem" : $"{violations.Count} problems";
        var lines = violations.Select(violation => $"  {violation}".ReplaceLineEndings("\n"));
        return $"The configuration has {count}:\n{string.Join('\n', lines)}\nKeys, values and rules: {ConfigurationKeys.Page}";
    }
}
