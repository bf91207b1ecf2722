namespace ShardSharp.Topology;

/// <summary>Where the value of a configuration key came from.</summary>
/// <param name="Kind">The layer.</param>
/// <param name="Name">The path of the file, the name of the environment variable or of the option; empty for the other layers.</param>
public sealed record ConfigurationSource(ConfigurationSourceKind Kind, string Name)
{
    internal static ConfigurationSource Default { get; } = new(ConfigurationSourceKind.Default, string.Empty);

    internal static ConfigurationSource Code { get; } = new(ConfigurationSourceKind.Code, string.Empty);

    /// <summary>The source in words, such as <c>file train.json</c>.</summary>
    public override string ToString() => Kind switch
    {
        ConfigurationSourceKind.Default => "default",
        ConfigurationSourceKind.Code => "code",
        ConfigurationSourceKind.File => $"file {Name}",
        ConfigurationSourceKind.CommandLine => $"command line {Name}",
        _ => $"environment variable {Name}",
    };
}
