namespace ShardSharp.Topology;

/// <summary>A file that need not exist, or null.</summary>
internal sealed class PathSyntax : ValueSyntax<string?>
{
    public override string Description => "the path of a file, or null";

    public override bool TryRead(RawValue raw, out string? value)
    {
        value = raw.IsNull ? null : raw.String;
        return raw.IsNull || !string.IsNullOrWhiteSpace(raw.String);
    }

    public override string? Nearest(string? value) => string.IsNullOrWhiteSpace(value) ? null : value;

    public override string Format(string? value) => value is null ? "null" : JsonText.Quote(value);
}
