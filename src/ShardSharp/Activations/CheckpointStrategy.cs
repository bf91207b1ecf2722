using System.Globalization;
using ShardSharp.Topology;

namespace ShardSharp.Activations;

/// <summary>Which of the modules of a <c>Sequential</c>, or of the layers of a model, are checkpointed together.</summary>
public sealed record CheckpointStrategy
{
    private readonly int? _groupSize;

    private CheckpointStrategy(string name, int? groupSize) => (Name, _groupSize) = (name, groupSize);

    /// <summary>
    /// Each module for itself, and what its linear layers (<c>nn.Linear</c>) return is kept: what is computed again is cheap, such as norms,
    /// activation functions, dropout and attention between the projections. After Korthikanti et al. (2022), "Reducing Activation Recomputation in
    /// Large Transformer Models", who compute attention again and keep the rest.
    /// </summary>
    public static CheckpointStrategy Selective { get; } = new(GroupingSyntax.Selective, 1);

    /// <summary>Each module for itself.</summary>
    public static CheckpointStrategy Each { get; } = new(GroupingSyntax.Each, 1);

    /// <summary>All that run one after another on one rank together.</summary>
    public static CheckpointStrategy Contiguous { get; } = new(GroupingSyntax.Contiguous, null);

    /// <summary>The strategy as the configuration has it: <c>each</c>, <c>selective</c>, <c>contiguous</c> or <c>group_N</c>.</summary>
    public string Name { get; }

    /// <summary>Names in the model of the linear layers whose results are kept; null for all, where any are.</summary>
    internal string? KeptNames { get; private init; }

    /// <summary>Whether results of linear layers are kept.</summary>
    internal bool IsSelective => Name == GroupingSyntax.Selective;

    /// <summary><see cref="Selective"/>, with only what some linear layers return.</summary>
    /// <param name="names">Their names in the model, separated by commas, with <c>*</c> for any characters but a dot, <c>**</c> for any, as <c>blocks.*.up</c>.</param>
    public static CheckpointStrategy Keeping(string names)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(names);
        return Selective with { KeptNames = names };
    }

    /// <summary>Always that many, the last of them perhaps fewer.</summary>
    /// <param name="size">How many; at least 1.</param>
    public static CheckpointStrategy GroupsOf(int size)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        return new CheckpointStrategy(string.Create(CultureInfo.InvariantCulture, $"{GroupingSyntax.Group}{size}"), size);
    }

    /// <summary>The strategy of a name.</summary>
    /// <param name="name"><c>each</c>, <c>selective</c>, <c>contiguous</c>, or <c>group_N</c> for a number N.</param>
    /// <exception cref="ArgumentException">There is no such strategy.</exception>
    public static CheckpointStrategy Parse(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return TryParse(name) ?? throw new ArgumentException(
            $"'{name}' is no strategy of activation checkpointing. There are each, selective, contiguous, and group_N, such as group_4.", nameof(name));
    }

    /// <inheritdoc/>
    public override string ToString() => Name;

    internal static CheckpointStrategy? TryParse(string? name) => name switch
    {
        GroupingSyntax.Each => Each,
        GroupingSyntax.Selective => Selective,
        GroupingSyntax.Contiguous => Contiguous,
        _ when GroupingSyntax.SizeOf(name) is { } size => GroupsOf(size),
        _ => null,
    };

    /// <summary>Divides modules that run one after another.</summary>
    internal IEnumerable<IReadOnlyList<T>> Divide<T>(IReadOnlyList<T> modules) => modules.Chunk(_groupSize ?? Math.Max(modules.Count, 1));
}
