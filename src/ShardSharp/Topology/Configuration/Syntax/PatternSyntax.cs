namespace ShardSharp.Topology;

/// <summary>Patterns of names with their stages, or null.</summary>
internal sealed class PatternSyntax : ValueSyntax<string?>
{
    public override string Description => "patterns of names and their stages such as \"layers.0=0, layers.*=1\", or null";

    public override bool TryRead(RawValue raw, out string? value)
    {
        value = raw.IsNull ? null : raw.String;
        return raw.IsNull || raw.String is not null;
    }

    public override string? Nearest(string? value) => value is null || PartitionPatterns.TryParse(value) is null ? null : value;

    public override string Format(string? value) => value is null ? "null" : JsonText.Quote(value);
}
