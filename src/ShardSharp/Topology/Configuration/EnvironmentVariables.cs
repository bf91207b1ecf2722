namespace ShardSharp.Topology;

/// <summary>The environment variables that configure ShardSharp. An empty variable counts as not set.</summary>
internal static class EnvironmentVariables
{
    public const string ConfigurationFile = ConfigurationKeys.VariablePrefix + "CONFIG";
    public const string SageMakerParameters = "SM_HP_MP_PARAMETERS";

    public static string? Get(IReadOnlyDictionary<string, string> environment, string name) =>
        environment.TryGetValue(name, out var value) && !string.IsNullOrWhiteSpace(value) ? value : null;

    /// <summary>The values of keys: <c>SHARDSHARP_</c> + key in upper case.</summary>
    public static IReadOnlyList<ConfigurationEntry> Read(IReadOnlyDictionary<string, string> environment) =>
    [
        .. environment
            .Where(variable => variable.Key.StartsWith(ConfigurationKeys.VariablePrefix, StringComparison.Ordinal)
                && variable.Key != ConfigurationFile && !RankVariables.All.Contains(variable.Key)
                && !string.IsNullOrWhiteSpace(variable.Value))
            .OrderBy(variable => variable.Key, StringComparer.Ordinal)
            .Select(variable => new ConfigurationEntry(
                variable.Key[ConfigurationKeys.VariablePrefix.Length..].ToLowerInvariant(),
                RawValue.FromText(variable.Value),
                new ConfigurationSource(ConfigurationSourceKind.Environment, variable.Key))),
    ];
}
