namespace ShardSharp.Tests.Stress;

/// <summary>Draws a run from its seed: the same on every rank, whatever the rank takes part in.</summary>
/// <param name="seed">The seed.</param>
/// <param name="largest">The largest number of elements; most operations have far fewer.</param>
internal sealed class StressPlan(int seed, int largest)
{
    private const int MostGroups = 10;
    private const int Deepest = 3;

    private static readonly StressKind[] Kinds = Enum.GetValues<StressKind>();

    private readonly Random _random = new(seed);
    private int _calls;
    private int _partitions;

    public enum Action
    {
        Call,
        Split,
        Dispose,
        WaitForAll,
    }

    public Action NextAction() => _random.Next(100) switch
    {
        < 3 => Action.Split,
        < 5 => Action.Dispose,
        < 9 => Action.WaitForAll,
        _ => Action.Call,
    };

    /// <summary>The group to split next, and how; null if there are enough.</summary>
    public (StressGroup Group, string Name, int[][] Partition)? NextSplit(IReadOnlyList<StressGroup> groups)
    {
        StressGroup[] divisible = [.. groups.Where(group => group.Size > 1 && group.Depth < Deepest)];
        var group = divisible[_random.Next(divisible.Length)];
        int[] members = [.. Enumerable.Range(0, group.Size)];
        _random.Shuffle(members);
        var parts = members.GroupBy(_ => _random.Next(3)).Select(part => part.ToArray()).ToArray();
        return groups.Count + parts.Length > MostGroups ? null : (group, $"partition {++_partitions}", parts);
    }

    /// <summary>The group to dispose next; null if it is still needed.</summary>
    public StressGroup? NextToDispose(IReadOnlyList<StressGroup> groups)
    {
        var group = groups[_random.Next(groups.Count)];
        return group.Parent is null || group.Children > 0 ? null : group;
    }

    public StressCall NextCall(IReadOnlyList<StressGroup> groups)
    {
        var group = groups[_random.Next(groups.Count)];
        var kind = Kinds[_random.Next(Kinds.Length)];
        if (group.Size == 1 && kind is StressKind.Message or StressKind.ObjectMessage)
            kind = StressKind.AllReduce;
        var type = StressValues.Types[_random.Next(StressValues.Types.Count)];
        var reductions = StressValues.ReductionsOf(type);
        var reduction = reductions[_random.Next(reductions.Length)];
        var root = _random.Next(group.Size);
        var receiver = (root + 1 + _random.Next(Math.Max(1, group.Size - 1))) % group.Size;

        // Each order of magnitude is as frequent as the next, so that small operations, which have their own paths, are not rare.
        var count = (int)Math.Pow(largest, _random.NextDouble()) - _random.Next(2);
        if (kind is StressKind.ReduceScatter or StressKind.AllGather or StressKind.AllToAll or StressKind.Gather or StressKind.Scatter)
            count /= group.Size;
        int[] cuts = [.. Enumerable.Range(0, _random.Next(6)).Select(_ => _random.Next(count + 1)).Order()];
        var isInSharedMemory = _random.Next(4) == 0;
        return new StressCall
        {
            Number = ++_calls,
            Kind = kind,
            Group = group,
            Type = type,
            Reduction = reduction,
            Root = root,
            Receiver = receiver,
            Count = count,
            Cuts = kind is StressKind.AllReduce or StressKind.Broadcast ? cuts : [],
            InBackground = !isInSharedMemory && _random.Next(2) == 0,
            IsInSharedMemory = isInSharedMemory,
            LayoutSeed = _random.Next(),
            Seed = seed,
        };
    }
}
