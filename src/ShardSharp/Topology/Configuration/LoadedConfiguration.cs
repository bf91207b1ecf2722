namespace ShardSharp.Topology;

/// <summary>A configuration, with what its loading found out.</summary>
/// <param name="Configuration">The configuration in force.</param>
/// <param name="ProgramArguments">The arguments that are the program's own, in their order.</param>
/// <param name="Sources">Where the value of each key came from, by the key's JSON name.</param>
public sealed record LoadedConfiguration(
    ParallelConfiguration Configuration,
    IReadOnlyList<string> ProgramArguments,
    IReadOnlyDictionary<string, ConfigurationSource> Sources)
{
    /// <summary>The configuration for a person: one key a line, with its value and where that came from.</summary>
    /// <returns>Lines of text.</returns>
    public string Describe()
    {
        var width = ConfigurationKeys.All.Max(key => key.Name.Length);
        return string.Join('\n', ConfigurationKeys.All.Select(key =>
            $"{key.Name.PadRight(width)}  {key.Json(Configuration),-15}  {Sources[key.Name]}"));
    }
}
