namespace ShardSharp.Topology;

/// <summary>One thing that is wrong with a configuration.</summary>
/// <param name="Key">The key as it was written.</param>
/// <param name="Value">The value as it was written.</param>
/// <param name="Rule">The rule it breaks, in words that follow the value: "must be ...", "is not ...".</param>
/// <param name="Suggestion">What would work.</param>
/// <param name="Source">Where the value came from.</param>
public sealed record ConfigurationViolation(
    string Key, string Value, string Rule, ConfigurationSuggestion Suggestion, ConfigurationSource Source)
{
    /// <summary>The violation on two lines: key, value, source and rule, then what would work.</summary>
    public override string ToString()
    {
        var given = Value.Length == 0 ? Key : $"{Key} = {Value}";
        return $"{given} ({Source}) {Rule}\n    works: {Suggestion.For(Source)}";
    }
}
