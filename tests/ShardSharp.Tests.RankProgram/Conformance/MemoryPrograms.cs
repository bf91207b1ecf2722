using ShardSharp.Communication;
using Xunit;
using static ShardSharp.Tests.Communication.ConformanceData;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Communication;

/// <summary>Memory that the ranks of a group share.</summary>
internal static class MemoryPrograms
{
    public static void Memory_of_a_group_is_the_same_for_all_its_ranks(ProcessGroup group)
    {
        var ranks = group.Size;
        const long Share = 5000;
        if (!group.SharesMemory)
        {
            Assert.Contains("cannot share memory", Assert.Throws<NotSupportedException>(() => group.AllocateShared(1)).Message);
            return;
        }

        using var scope = NewDisposeScope();
        using var memory = group.AllocateShared(Share * ranks * sizeof(float));
        Assert.Equal(Share * ranks * sizeof(float), memory.Length);
        var (whole, mine) = (memory.View(0, [ranks, Share], ScalarType.Float32), memory.View(group.Rank * Share * 4, [Share], ScalarType.Float32));
        AssertSame(zeros(ranks, Share), whole);
        group.Barrier();
        mine.copy_(Noise(group.Rank, Share));
        group.Barrier();
        AssertSame(cat([.. Enumerable.Range(0, ranks).Select(rank => Noise(rank, Share))]), whole.view(-1));
        group.Barrier();
    }

    public static void Memory_of_a_part_is_its_own_and_outlives_whoever_leaves(ProcessGroup group)
    {
        if (!group.SharesMemory)
            return;
        using var part = group.Split("parity", group.Size == 1
            ? [[0]]
            : [.. Enumerable.Range(0, 2).Select(odd => Enumerable.Range(0, group.Size).Where(rank => rank % 2 == odd).ToArray())]);
        SharedMemory first = part.AllocateShared(1), second = part.AllocateShared(100_000);
        first.Dispose();
        first.Dispose();
        Assert.Throws<ObjectDisposedException>(() => first.Address);
        using (var elements = second.View(80_000, [10], ScalarType.Int64))
        {
            if (part.Rank == 0)
                elements.fill_(group.Rank + 1);
            part.Barrier();
            AssertSame(full(10, (group.Rank % 2) + 1, ScalarType.Int64), elements);
            part.Barrier();
            if (part.Rank == 0)
                second.Dispose();
            else
                AssertSame(full(10, (group.Rank % 2) + 1, ScalarType.Int64), elements);
        }

        second.Dispose();
    }

    public static void Memory_is_viewed_within_its_bounds(ProcessGroup group)
    {
        if (!group.SharesMemory)
            return;
        Assert.Throws<ArgumentOutOfRangeException>(() => group.AllocateShared(0));
        using var memory = group.AllocateShared(1024);
        using var last = memory.View(1020, [1], ScalarType.Float32);
        using var none = memory.View(1024, [3, 0], ScalarType.Float32);
        Assert.Equal([3, 0], none.shape);
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.View(1020, [2], ScalarType.Float32));
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.View(-4, [1], ScalarType.Float32));
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.View(0, [-1], ScalarType.Float32));
        Assert.Throws<ArgumentException>(() => memory.View(2, [1], ScalarType.Float32));
    }
}
