namespace ShardSharp.Topology;

/// <summary>A value that may be left to the library: null.</summary>
internal sealed class OptionalSyntax<T>(ValueSyntax<T> inner) : ValueSyntax<T?>
    where T : struct
{
    public ValueSyntax Inner => inner;

    public override string Description => $"{inner.Description}, or null";

    public override bool TryRead(RawValue raw, out T? value)
    {
        var read = inner.TryRead(raw, out var given);
        value = read ? given : null;
        return read || raw.IsNull;
    }

    public override T? Nearest(T? value) => value is { } given ? inner.Nearest(given) : null;

    public override string Format(T? value) => value is { } given ? inner.Format(given) : "null";
}
