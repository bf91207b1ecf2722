using ShardSharp.Communication;

namespace ShardSharp.Tests.Stress;

/// <summary>A group as every rank knows it, whether it belongs to it or not.</summary>
/// <param name="name">What it is called in reports.</param>
/// <param name="parent">The group it was split from; null for that of all ranks.</param>
/// <param name="ranks">World rank of every member, in group order.</param>
internal sealed class StressGroup(string name, StressGroup? parent, int[] ranks)
{
    public string Name => name;

    public StressGroup? Parent => parent;

    public int[] Ranks => ranks;

    public int Size => ranks.Length;

    public int Depth { get; } = parent is null ? 0 : parent.Depth + 1;

    /// <summary>Groups split from this one that are not disposed.</summary>
    public int Children { get; set; }

    /// <summary>This rank's part in it; null if it is not a member.</summary>
    public ProcessGroup? Joined { get; init; }

    /// <summary>Memory that its members share; null where it has none or this rank is not a member.</summary>
    public SharedMemory? Memory { get; init; }

    public override string ToString() => $"'{name}' of ranks {string.Join(", ", ranks)}";
}
