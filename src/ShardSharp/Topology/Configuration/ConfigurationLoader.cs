namespace ShardSharp.Topology;

/// <summary>Gathers the layers of a configuration and checks the result.</summary>
/// <param name="isAvailable">Which features a configuration may ask for.</param>
internal sealed class ConfigurationLoader(Func<Feature, bool> isAvailable)
{
    /// <summary>Allows what has landed.</summary>
    public static ConfigurationLoader Released { get; } = new(feature => feature.HasLanded);

    /// <inheritdoc cref="ParallelConfiguration.Load"/>
    public LoadedConfiguration Load(
        IReadOnlyList<string> arguments,
        IReadOnlyDictionary<string, string> environment,
        ParallelConfiguration? code,
        int? worldSize)
    {
        ArgumentNullException.ThrowIfNull(arguments);
        ArgumentNullException.ThrowIfNull(environment);
        var violations = new List<ConfigurationViolation>();
        var resolver = new ConfigurationResolver(code ?? ParallelConfiguration.Default, violations);
        var options = CommandLineOptions.Read(arguments, violations);

        resolver.Apply(ReadFile(options.ConfigurationFile, environment, violations));
        resolver.Apply(ReadSageMaker(environment, violations));
        resolver.Apply(EnvironmentVariables.Read(environment));
        foreach (var option in options.Entries)
            resolver.Apply([option]);
        return Check(resolver, violations, worldSize, options.ProgramArguments);
    }

    /// <summary>The configuration of one JSON document.</summary>
    public LoadedConfiguration Parse(string json, int? worldSize = null)
    {
        ArgumentNullException.ThrowIfNull(json);
        var violations = new List<ConfigurationViolation>();
        var resolver = new ConfigurationResolver(ParallelConfiguration.Default, violations);
        var whole = new ConfigurationEntry("configuration", RawValue.FromText(json), ConfigurationSource.Code);
        resolver.Apply(ConfigurationDocument.Read(json, whole, isSpelled: false, violations));
        return Check(resolver, violations, worldSize, []);
    }

    private LoadedConfiguration Check(
        ConfigurationResolver resolver, List<ConfigurationViolation> violations, int? worldSize, IReadOnlyList<string> programArguments)
    {
        if (worldSize is { } ranks)
            ArgumentOutOfRangeException.ThrowIfLessThan(ranks, 1, nameof(worldSize));
        resolver.CheckFeatures(isAvailable);
        resolver.CheckRules(worldSize);
        return violations.Count == 0
            ? new LoadedConfiguration(resolver.Configuration, programArguments, resolver.Sources)
            : throw new ConfigurationException(violations);
    }

    private static IReadOnlyList<ConfigurationEntry> ReadFile(
        string? option, IReadOnlyDictionary<string, string> environment, List<ConfigurationViolation> violations)
    {
        var source = option is not null
            ? new ConfigurationSource(ConfigurationSourceKind.CommandLine, "--config")
            : new ConfigurationSource(ConfigurationSourceKind.Environment, EnvironmentVariables.ConfigurationFile);
        var path = option ?? EnvironmentVariables.Get(environment, EnvironmentVariables.ConfigurationFile);
        return path is null
            ? []
            : ConfigurationDocument.ReadFile(path, new ConfigurationEntry("config", RawValue.FromText(path), source), violations);
    }

    private static IReadOnlyList<ConfigurationEntry> ReadSageMaker(
        IReadOnlyDictionary<string, string> environment, List<ConfigurationViolation> violations)
    {
        const string Name = EnvironmentVariables.SageMakerParameters;
        if (EnvironmentVariables.Get(environment, Name) is not { } json)
            return [];
        var source = new ConfigurationSource(ConfigurationSourceKind.SageMaker, Name);
        return ConfigurationDocument.Read(json, new ConfigurationEntry(Name, RawValue.FromText(json), source), isSpelled: true, violations);
    }
}
