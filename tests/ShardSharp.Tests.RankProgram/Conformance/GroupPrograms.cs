using ShardSharp.Communication;
using Xunit;
using static ShardSharp.Tests.Communication.ConformanceData;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Communication;

/// <summary>Groups within groups, and tensors of any strides.</summary>
internal static class GroupPrograms
{
    public static void Groups_split_and_work_side_by_side(ProcessGroup group)
    {
        var ranks = group.Size;
        using var scope = NewDisposeScope();
        var even = Enumerable.Range(0, ranks).Where(rank => rank % 2 == 0).Reverse().ToArray();
        var odd = Enumerable.Range(0, ranks).Where(rank => rank % 2 == 1).ToArray();
        int[][] partition = odd.Length == 0 ? [even] : [even, odd];
        using var part = group.Split("parity", partition);
        var members = group.Rank % 2 == 0 ? even : odd;
        Assert.Equal(members, part.GlobalRanks);
        Assert.Equal(group.Rank, members[part.Rank]);

        var tensor = full(50_000, (float)group.Rank);
        var work = part.AllReduceAsync(tensor);
        double[] all = [group.Rank];
        group.AllReduce(all);
        work.Wait();
        AssertSame(full(50_000, (float)members.Sum()), tensor);

        using var nested = part.Split("alone", [.. Enumerable.Range(0, part.Size).Select(rank => new[] { rank })]);
        Assert.Equal([group.Rank], nested.GlobalRanks);
        nested.AllReduce(tensor);
        AssertSame(full(50_000, (float)members.Sum()), tensor);
        group.Barrier();
    }

    public static void Strided_tensors_are_communicated_like_dense_ones(ProcessGroup group)
    {
        var ranks = group.Size;
        using var scope = NewDisposeScope();
        var matrix = Noise(group.Rank, 300 * 40).reshape(300, 40);
        var expected = Fold(ranks, rank => Noise(rank, 300 * 40), add);
        group.AllReduce(matrix.t());
        AssertSame(expected.reshape(300, 40), matrix);

        var column = zeros(10, 3);
        group.BroadcastAsync(column.select(1, 1), 0).Wait();
        group.Broadcast(group.Rank == 0 ? ones(10) : column.select(1, 2), 0);
        Assert.Equal(group.Rank == 0 ? 0 : 10, column.sum().item<float>());
    }
}
