namespace ShardSharp.Topology;

/// <summary>
/// One key of the configuration: its names, its property of <see cref="ParallelConfiguration"/>, its values and its default.
/// </summary>
internal abstract class ConfigurationKey(string name, string property)
{
    public string Name => name;

    /// <summary>The property that holds the value.</summary>
    public string Property => property;

    /// <summary>Other names of the key: older SMP versions', SMP v2's.</summary>
    public IReadOnlyList<string> Aliases { get; init; } = [];

    public abstract ValueSyntax Syntax { get; }

    /// <summary>The feature the key belongs to; null when it belongs to none in particular.</summary>
    public abstract Feature? Feature { get; }

    /// <summary>Where the key is described.</summary>
    public string Documentation => $"{ConfigurationKeys.Page}#{name}";

    public string DefaultJson => Json(ParallelConfiguration.Default);

    /// <summary>The key's value as JSON.</summary>
    public abstract string Json(ParallelConfiguration configuration);

    /// <summary>Sets the key. When the value is not allowed, answers false and sets the nearest value that is.</summary>
    public abstract bool TryAssign(ParallelConfiguration configuration, RawValue raw, out ParallelConfiguration assigned);

    /// <summary>The configuration with this key's value, if not allowed, replaced by the nearest that is.</summary>
    public abstract ParallelConfiguration Correct(ParallelConfiguration configuration);

    /// <summary>The configuration with this key's value taken from another.</summary>
    public abstract ParallelConfiguration Copy(ParallelConfiguration from, ParallelConfiguration to);

    /// <summary>The feature this key's value asks for; null when it needs none.</summary>
    public abstract Feature? FeatureNeeded(ParallelConfiguration configuration);

    public bool IsDefault(ParallelConfiguration configuration) =>
        Copy(configuration, ParallelConfiguration.Default) == ParallelConfiguration.Default;
}
