using ShardSharp.Communication;
using static ShardSharp.Tests.Communication.ConformanceData;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Communication;

/// <summary>Collectives of tensors that lie in memory of the group, on all ranks or on some.</summary>
internal static class InPlacePrograms
{
    /// <summary>Where the tensors of a rank lie in a test.</summary>
    private enum Placement
    {
        Shared,
        FirstRankShares,
        LastRankDoesNot,
        TwoMemories,
    }

    public static void Reductions_of_tensors_in_shared_memory_have_the_same_bits(ProcessGroup group)
    {
        if (!group.SharesMemory)
            return;
        var ranks = group.Size;
        foreach (var length in (long[])[3, 8193, 70_001, 300_001])
        {
            using var scope = NewDisposeScope();
            using var memory = group.AllocateShared(RoomFor(ranks, length * ranks));
            var tensor = Own(group, memory, length * ranks);
            Tensor Sum() => Fold(ranks, rank => Noise(rank, length * ranks), add);

            tensor.copy_(Noise(group.Rank, length * ranks));
            group.AllReduce(tensor);
            AssertSame(Sum(), tensor);

            tensor.copy_(Noise(group.Rank, length * ranks));
            var share = zeros(length);
            group.ReduceScatter(share, tensor);
            AssertSame(Sum().narrow(0, group.Rank * length, length), share);
            AssertSame(Noise(group.Rank, length * ranks), tensor);

            group.ReduceScatter(tensor.narrow(0, group.Rank * length, length), tensor);
            AssertSame(share, tensor.narrow(0, group.Rank * length, length));

            tensor.copy_(Noise(group.Rank, length * ranks));
            group.Reduce(tensor, ranks - 1);
            AssertSame(group.Rank == ranks - 1 ? Sum() : Noise(group.Rank, length * ranks), tensor);
            group.Barrier();
        }
    }

    public static void Data_in_shared_memory_travels_like_any_other(ProcessGroup group)
    {
        if (!group.SharesMemory)
            return;
        var ranks = group.Size;
        foreach (var length in (long[])[5, 9000, 300_001])
        {
            using var scope = NewDisposeScope();
            using var memory = group.AllocateShared(RoomFor(ranks, length * ranks));
            var (tensor, root) = (Own(group, memory, length * ranks), ranks / 2);
            var (isRoot, received, share) = (group.Rank == root, zeros(length * ranks), tensor.narrow(0, 0, length));
            var all = cat([.. Enumerable.Range(0, ranks).Select(rank => Noise(rank, length))]);

            tensor.copy_(Noise(group.Rank, length * ranks));
            group.AllToAll(received, tensor);
            AssertSame(
                cat([.. Enumerable.Range(0, ranks).Select(rank => Noise(rank, length * ranks).narrow(0, group.Rank * length, length))]), received);

            group.BroadcastAsync(tensor, root).Wait();
            AssertSame(Noise(root, length * ranks), tensor);

            share.copy_(Noise(group.Rank, length));
            group.AllGather(received, share);
            AssertSame(all, received);

            received.zero_();
            group.Gather(isRoot ? received : null, share, root);
            AssertSame(isRoot ? all : zeros(length * ranks), received);

            if (isRoot)
                tensor.copy_(all);
            group.Scatter(isRoot ? received.narrow(0, 0, length) : share, isRoot ? tensor : null, root);
            AssertSame(Noise(group.Rank, length), isRoot ? received.narrow(0, 0, length) : share);
            group.Barrier();
        }
    }

    public static void Shares_that_lie_where_they_belong_are_gathered_in_place(ProcessGroup group)
    {
        if (!group.SharesMemory)
            return;
        var ranks = group.Size;
        foreach (var length in (long[])[1, 100_003])
        {
            using var scope = NewDisposeScope();
            using var memory = group.AllocateShared(length * ranks * sizeof(float));
            var whole = memory.View(0, [length * ranks], ScalarType.Float32);
            var expected = cat([.. Enumerable.Range(0, ranks).Select(rank => Noise(rank, length))]);
            var mine = whole.narrow(0, group.Rank * length, length);
            mine.copy_(Noise(group.Rank, length));
            group.AllGather(whole, mine);
            AssertSame(expected, whole);
            group.Barrier();

            // Into the same memory, from elsewhere.
            mine.zero_();
            group.AllGather(whole, Noise(group.Rank, length));
            AssertSame(expected, whole);
            group.Barrier();
        }
    }

    public static void Ranks_whose_tensors_lie_elsewhere_get_the_same_results(ProcessGroup group)
    {
        if (!group.SharesMemory)
            return;
        var ranks = group.Size;
        const long Length = 150_001;
        foreach (var placement in Enum.GetValues<Placement>())
        {
            using var scope = NewDisposeScope();
            using SharedMemory memory = group.AllocateShared(RoomFor(ranks, Length)), other = group.AllocateShared(RoomFor(ranks, Length));
            var shares = placement switch
            {
                Placement.FirstRankShares => group.Rank == 0,
                Placement.LastRankDoesNot => group.Rank < ranks - 1,
                _ => true,
            };
            var tensor = shares ? Own(group, placement == Placement.TwoMemories && group.Rank % 2 == 1 ? other : memory, Length) : zeros(Length);
            for (var round = 0; round < 3; round++)
            {
                tensor.copy_(Noise(group.Rank + round, Length));
                group.AllReduce(tensor);
                AssertSame(Fold(ranks, rank => Noise(rank + round, Length), add), tensor, $"{placement}");
                group.Broadcast(tensor.copy_(Noise(group.Rank, Length)), round % ranks);
                AssertSame(Noise(round % ranks, Length), tensor, $"{placement}");
            }

            group.Barrier();
        }
    }

    public static void A_part_uses_memory_of_the_whole_in_place(ProcessGroup group)
    {
        if (!group.SharesMemory)
            return;
        const long Length = 50_000;
        using var scope = NewDisposeScope();
        using var part = group.Split("parity", Parities(group.Size));
        using var memory = group.AllocateShared(RoomFor(group.Size, Length));
        using var ofPart = part.AllocateShared(RoomFor(part.Size, Length));
        var tensor = Own(group, memory, Length).fill_(group.Rank);
        part.AllReduce(tensor);
        AssertSame(full(Length, (float)part.GlobalRanks.Sum()), tensor);

        // The whole does not have the memory of a part.
        var partly = Own(part, ofPart, Length).fill_(1);
        group.AllReduce(partly);
        AssertSame(full(Length, (float)group.Size), partly);
        group.Barrier();
    }

    private static int[][] Parities(int ranks) =>
        [.. Enumerable.Range(0, ranks).GroupBy(rank => rank % 2).Select(parity => parity.ToArray())];

    private static long RoomFor(int ranks, long length) => ranks * length * sizeof(float);

    /// <summary>This rank's own tensor in memory of the group.</summary>
    private static Tensor Own(ProcessGroup group, SharedMemory memory, long length) =>
        memory.View(group.Rank * length * sizeof(float), [length], ScalarType.Float32);
}
