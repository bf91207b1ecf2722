using System.Collections;

namespace ShardSharp.Topology;

/// <summary>
/// Ranks that communicate with one another, in order: the position of a world rank in this list is its rank in the group.
/// Two groups are equal when they list the same ranks in the same order.
/// </summary>
public sealed class RankGroup : IReadOnlyList<int>, IEquatable<RankGroup>
{
    private readonly int[] _ranks;

    internal RankGroup(IEnumerable<int> ranks) => _ranks = [.. ranks];

    /// <summary>How many ranks the group has.</summary>
    public int Count => _ranks.Length;

    /// <summary>The world rank of a rank in the group.</summary>
    /// <param name="index">The rank in the group, from 0 to <see cref="Count"/> - 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">The group has no such rank.</exception>
    public int this[int index] => (uint)index < (uint)_ranks.Length
        ? _ranks[index]
        : throw new ArgumentOutOfRangeException(nameof(index), $"Group {this} has ranks 0 to {Count - 1}; there is no rank {index}.");

    /// <summary>Whether a world rank is a member.</summary>
    /// <param name="worldRank">The rank in the world.</param>
    public bool Contains(int worldRank) => Array.IndexOf(_ranks, worldRank) >= 0;

    /// <summary>The rank in the group of a world rank.</summary>
    /// <param name="worldRank">The rank in the world.</param>
    /// <exception cref="ArgumentException">The world rank is not a member of the group.</exception>
    public int RankOf(int worldRank)
    {
        var index = Array.IndexOf(_ranks, worldRank);
        return index >= 0 ? index : throw new ArgumentException($"Rank {worldRank} is not a member of group {this}.", nameof(worldRank));
    }

    /// <inheritdoc/>
    public IEnumerator<int> GetEnumerator() => ((IEnumerable<int>)_ranks).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <inheritdoc/>
    public bool Equals(RankGroup? other) => other is not null && _ranks.AsSpan().SequenceEqual(other._ranks);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as RankGroup);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = new HashCode();
        foreach (var rank in _ranks)
            hash.Add(rank);
        return hash.ToHashCode();
    }

    /// <summary>The world ranks in order, such as <c>[0, 2, 4, 6]</c>.</summary>
    public override string ToString() => $"[{string.Join(", ", _ranks)}]";
}
