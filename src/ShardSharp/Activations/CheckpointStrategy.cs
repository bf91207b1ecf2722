using System.Globalization;
using ShardSharp.Topology;

namespace ShardSharp.Activations;

/// <summary>Which of the modules of a <c>Sequential</c>, or of the layers of a model, are checkpointed together.</summary>
public sealed record CheckpointStrategy
{
    private readonly int? _groupSize;

    private CheckpointStrategy(string name, int? groupSize) => (Name, _groupSize) = (name, groupSize);

    /// <summary>Each module for itself.</summary>
    public static CheckpointStrategy Each { get; } = new(GroupingSyntax.Each, 1);

    /// <summary>All that run one after another on one rank together.</summary>
    public static CheckpointStrategy Contiguous { get; } = new(GroupingSyntax.Contiguous, null);

    /// <summary>The strategy as the configuration has it: <c>each</c>, <c>contiguous</c> or <c>group_N</c>.</summary>
    public string Name { get; }

    /// <summary>Always that many, the last of them perhaps fewer.</summary>
    /// <param name="size">How many; at least 1.</param>
    public static CheckpointStrategy GroupsOf(int size)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        return new CheckpointStrategy(string.Create(CultureInfo.InvariantCulture, $"{GroupingSyntax.Group}{size}"), size);
    }

    /// <summary>The strategy of a name.</summary>
    /// <param name="name"><c>each</c>, <c>contiguous</c>, or <c>group_N</c> for a number N.</param>
    /// <exception cref="ArgumentException">There is no such strategy.</exception>
    public static CheckpointStrategy Parse(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return TryParse(name) ?? throw new ArgumentException(
            $"'{name}' is no strategy of activation checkpointing. There are each, contiguous, and group_N, such as group_4.", nameof(name));
    }

    /// <inheritdoc/>
    public override string ToString() => Name;

    internal static CheckpointStrategy? TryParse(string? name) => name switch
    {
        GroupingSyntax.Each => Each,
        GroupingSyntax.Contiguous => Contiguous,
        _ when GroupingSyntax.SizeOf(name) is { } size => GroupsOf(size),
        _ => null,
    };

    /// <summary>Divides modules that run one after another.</summary>
    internal IEnumerable<IReadOnlyList<T>> Divide<T>(IReadOnlyList<T> modules) => modules.Chunk(_groupSize ?? Math.Max(modules.Count, 1));
}
