namespace ShardSharp.Topology;

/// <summary>A value given to a key by one layer, as written.</summary>
internal readonly record struct ConfigurationEntry(string Name, RawValue Value, ConfigurationSource Source)
{
    /// <summary>The entry does not work.</summary>
    public ConfigurationViolation Violates(string rule, string? suggestedValue = null, string? suggestedKey = null) =>
        new(Name, Value.ToString(), rule, new ConfigurationSuggestion(suggestedKey ?? Name, suggestedValue), Source);
}
