using ShardSharp.Communication;
using static ShardSharp.Tests.Communication.ConformanceData;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Communication;

/// <summary>Operations that move or combine one share for each rank, with and without a root.</summary>
internal static class SharePrograms
{
    /// <summary>Lengths of one share around everything that matters; where a tensor holds a share for each rank, a chunk holds less of each.</summary>
    private static readonly long[] Shares = [0, 1, 3, 64, 1000, 8193, 70_001];

    public static void All_gather_collects_in_rank_order(ProcessGroup group)
    {
        var ranks = group.Size;
        foreach (var length in Shares)
        {
            using var scope = NewDisposeScope();
            var output = zeros(length * ranks);
            group.AllGather(output, Noise(group.Rank, length));
            AssertSame(cat([.. Enumerable.Range(0, ranks).Select(rank => Noise(rank, length))]), output);
        }
    }

    public static void All_gather_may_gather_into_the_tensor_that_holds_its_own_share(ProcessGroup group)
    {
        var ranks = group.Size;
        using var scope = NewDisposeScope();
        var output = full(ranks * 1000L, -1f);
        var mine = output.narrow(0, group.Rank * 1000L, 1000);
        mine.fill_(group.Rank);
        group.AllGather(output, mine);
        AssertSame(arange(ranks, ScalarType.Float32).repeat_interleave(1000), output);
    }

    public static void Reduce_scatter_leaves_each_rank_its_share(ProcessGroup group)
    {
        var ranks = group.Size;
        foreach (var length in Shares)
        {
            using var scope = NewDisposeScope();
            var output = zeros(length);
            group.ReduceScatter(output, Noise(group.Rank, length * ranks));
            var expected = Fold(ranks, rank => Noise(rank, length * ranks), add);
            AssertSame(expected.narrow(0, group.Rank * length, length), output);
        }
    }

    public static void All_to_all_transposes_shares(ProcessGroup group)
    {
        var ranks = group.Size;
        foreach (var length in Shares)
        {
            using var scope = NewDisposeScope();
            var output = zeros(length * ranks);
            group.AllToAll(output, Noise(group.Rank, length * ranks));
            AssertSame(
                cat([.. Enumerable.Range(0, ranks).Select(rank => Noise(rank, length * ranks).narrow(0, group.Rank * length, length))]), output);
        }
    }

    public static void Rooted_operations_work_from_every_root(ProcessGroup group)
    {
        var ranks = group.Size;
        for (var root = 0; root < ranks; root++)
        {
            foreach (var length in Shares)
            {
                using var scope = NewDisposeScope();
                var isRoot = group.Rank == root;
                var shared = Noise(group.Rank, length);
                group.Broadcast(shared, root);
                AssertSame(Noise(root, length), shared);

                var gathered = isRoot ? zeros(length * ranks) : null;
                group.Gather(gathered, Noise(group.Rank, length), root);
                var all = cat([.. Enumerable.Range(0, ranks).Select(rank => Noise(rank, length))]);
                if (isRoot)
                    AssertSame(all, gathered!);

                var share = zeros(length);
                group.Scatter(share, isRoot ? all : null, root);
                AssertSame(Noise(group.Rank, length), share);

                var reduced = Noise(group.Rank, length);
                group.Reduce(reduced, root);
                AssertSame(isRoot ? Fold(ranks, rank => Noise(rank, length), add) : Noise(group.Rank, length), reduced);
            }
        }
    }

    public static void Large_shares_take_many_steps(ProcessGroup group)
    {
        var ranks = group.Size;
        const long Share = 300_001;
        using var scope = NewDisposeScope();
        var (whole, mine) = (zeros(Share * ranks), zeros(Share));
        group.AllGather(whole, Noise(group.Rank, Share));
        AssertSame(cat([.. Enumerable.Range(0, ranks).Select(rank => Noise(rank, Share))]), whole);
        group.Scatter(mine, group.Rank == 0 ? whole : null, 0);
        AssertSame(Noise(group.Rank, Share), mine);
        group.AllToAll(whole, Noise(group.Rank, Share * ranks));
        AssertSame(cat([.. Enumerable.Range(0, ranks).Select(rank => Noise(rank, Share * ranks).narrow(0, group.Rank * Share, Share))]), whole);
        group.ReduceScatter(mine, Noise(group.Rank, Share * ranks));
        AssertSame(Fold(ranks, rank => Noise(rank, Share * ranks), add).narrow(0, group.Rank * Share, Share), mine);
    }
}
