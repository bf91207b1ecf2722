namespace ShardSharp.Topology;

/// <summary>What the values of a key look like and which of them are allowed.</summary>
internal abstract class ValueSyntax
{
    /// <summary>The allowed values in words that follow "must be".</summary>
    public abstract string Description { get; }
}

/// <inheritdoc/>
internal abstract class ValueSyntax<T> : ValueSyntax
{
    /// <summary>Reads a value of this type, allowed or not.</summary>
    public abstract bool TryRead(RawValue raw, out T value);

    /// <summary>The value itself when it is allowed, else the allowed value nearest to it.</summary>
    public abstract T Nearest(T value);

    /// <summary>The value as JSON.</summary>
    public abstract string Format(T value);

    public bool Allows(T value) => EqualityComparer<T>.Default.Equals(Nearest(value), value);
}
