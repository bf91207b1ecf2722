using System.Runtime.CompilerServices;

namespace ShardSharp.Topology;

/// <inheritdoc/>
internal sealed class ConfigurationKey<T>(
    string name,
    ValueSyntax<T> syntax,
    Func<ParallelConfiguration, T> get,
    Func<ParallelConfiguration, T, ParallelConfiguration> set,
    Feature? feature = null,
    [CallerArgumentExpression(nameof(get))] string getter = "")
    : ConfigurationKey(name, getter[(getter.IndexOf('.', StringComparison.Ordinal) + 1)..])
{
    /// <summary>The feature a value asks for, where that is not "any value but the default asks for the key's feature".</summary>
    public Func<T, Feature?>? FeatureOf { get; init; }

    public override ValueSyntax Syntax => syntax;

    public override Feature? Feature => feature;

    public override string Json(ParallelConfiguration configuration) => syntax.Format(get(configuration));

    public override bool TryAssign(ParallelConfiguration configuration, RawValue raw, out ParallelConfiguration assigned)
    {
        var read = syntax.TryRead(raw, out var value);
        if (!read)
            value = get(ParallelConfiguration.Default);
        assigned = set(configuration, syntax.Nearest(value));
        return read && syntax.Allows(value);
    }

    public override ParallelConfiguration Correct(ParallelConfiguration configuration) =>
        syntax.Allows(get(configuration)) ? configuration : set(configuration, syntax.Nearest(get(configuration)));

    public override ParallelConfiguration Copy(ParallelConfiguration from, ParallelConfiguration to) => set(to, get(from));

    public override Feature? FeatureNeeded(ParallelConfiguration configuration) =>
        FeatureOf is not null ? FeatureOf(get(configuration)) : IsDefault(configuration) ? null : feature;
}
