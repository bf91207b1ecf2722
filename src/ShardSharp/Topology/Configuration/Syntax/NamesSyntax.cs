namespace ShardSharp.Topology;

/// <summary>Names of modules separated by commas, or null.</summary>
internal sealed class NamesSyntax : ValueSyntax<string?>
{
    public override string Description => "names of modules separated by commas, in which * stands for any characters but a dot and ** for any, or null";

    public override bool TryRead(RawValue raw, out string? value)
    {
        value = raw.IsNull ? null : raw.String;
        return raw.IsNull || !string.IsNullOrWhiteSpace(raw.String);
    }

    public override string? Nearest(string? value) => string.IsNullOrWhiteSpace(value) ? null : value;

    public override string Format(string? value) => value is null ? "null" : JsonText.Quote(value);
}
