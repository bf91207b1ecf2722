namespace ShardSharp.Topology;

/// <summary>
/// SMP's <c>placement_strategy</c>: a name, or the three axis letters in order, the right-most varying fastest over ranks.
/// </summary>
internal sealed class PlacementSyntax : ValueSyntax<string>, IChoices
{
    private const string Cluster = "cluster";
    private const string Spread = "spread";

    public IReadOnlyList<string> Names { get; } = [Cluster, Spread, .. PlacementStrategy.All.Select(strategy => strategy.Order)];

    public override string Description => "\"cluster\", \"spread\" or a permutation of the letters D, P and T such as \"DPT\"";

    public override bool TryRead(RawValue raw, out string value)
    {
        value = raw.String ?? string.Empty;
        return raw.String is not null;
    }

    public override string Nearest(string value) =>
        Names.FirstOrDefault(name => name == value)
        ?? Names.FirstOrDefault(name => name.Equals(value, StringComparison.OrdinalIgnoreCase))
        ?? Names[0];

    public override string Format(string value) => value is null ? "null" : JsonText.Quote(value);

    public static string Order(string value) => value switch
    {
        Cluster => PlacementStrategy.Cluster.Order,
        Spread => PlacementStrategy.Spread.Order,
        _ => value,
    };
}
