namespace ShardSharp.Topology;

/// <summary>
/// SMP's <c>placement_strategy</c>: a name, or the three axis letters in order, the right-most varying fastest over ranks.
/// </summary>
internal sealed class PlacementSyntax : ValueSyntax<string>, IChoices
{
    // "cluster" is DPT: the reference table of the SMP documentation, where one of its figures shows DTP.
    private const string ClusterOrder = "DPT";
    private const string SpreadOrder = "TPD";

    public IReadOnlyList<string> Names { get; } = ["cluster", "spread", "DPT", "DTP", "PDT", "PTD", "TDP", "TPD"];

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
        "cluster" => ClusterOrder,
        "spread" => SpreadOrder,
        _ => value,
    };
}
