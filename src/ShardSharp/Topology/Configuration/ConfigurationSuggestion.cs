namespace ShardSharp.Topology;

/// <summary>
/// What to write instead: following every suggestion of a <see cref="ConfigurationException"/> gives a valid configuration.
/// </summary>
/// <param name="Key">The key to set.</param>
/// <param name="Value">A value that works, as JSON; null to leave the key out.</param>
public sealed record ConfigurationSuggestion(string Key, string? Value)
{
    /// <summary>The suggestion as it is written in a JSON file.</summary>
    public override string ToString() => Value is null ? "leave it out" : $"\"{Key}\": {Value}";

    /// <summary>The suggestion as it is written where the value came from.</summary>
    internal string For(ConfigurationSource source)
    {
        if (Value is null)
            return ToString();
        var text = Value.Trim('"');
        return source.Kind switch
        {
            ConfigurationSourceKind.Environment => $"{ConfigurationKeys.VariablePrefix}{Key.ToUpperInvariant()}={text}",
            ConfigurationSourceKind.CommandLine when source.Name == $"--{Key}" => $"{source.Name} {text}",
            ConfigurationSourceKind.CommandLine => $"--set {Key}={text}",
            _ => ToString(),
        };
    }
}
