using ShardSharp.Communication;
using ShardSharp.Communication.Nccl;
using ShardSharp.Native;
using Xunit;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Communication;

/// <summary>What every backend owes its callers, as programs that every rank of a group runs.</summary>
public static class Conformance
{
    /// <summary>Lengths around everything that matters: nothing, one element, uneven slices, the small path's limit, several chunks.</summary>
    private static readonly long[] Lengths = [0, 1, 3, 64, 1000, 8192, 8193, 131_072 + 5, 300_001];

    /// <summary>The same for what holds a share for each rank, where a chunk holds less of each.</summary>
    private static readonly long[] Shares = [0, 1, 3, 64, 1000, 8193, 70_001];

    /// <summary>Whether the backend sums in an order of its own, as NCCL does, so that sums may be rounded otherwise.</summary>
    public static bool OrderIsFree { get; set; }

    /// <summary>The programs by name.</summary>
    public static IReadOnlyDictionary<string, Action<ProcessGroup>> Programs { get; } = new Action<ProcessGroup>[]
    {
        All_reduce_sums_in_rank_order,
        Large_tensors_take_many_steps,
        Large_shares_take_many_steps,
        All_reduce_of_many_tensors_is_one_operation,
        Every_reduction_of_every_type_agrees_with_libtorch,
        Max_and_min_pass_on_NaN,
        Bool_elements_reduce_as_logic,
        Complex_elements_have_sum_and_mean,
        All_gather_collects_in_rank_order,
        All_gather_may_gather_into_the_tensor_that_holds_its_own_share,
        Reduce_scatter_leaves_each_rank_its_share,
        All_to_all_transposes_shares,
        Rooted_operations_work_from_every_root,
        Messages_of_a_pair_keep_their_order,
        A_send_does_not_wait_behind_a_send_to_another_rank,
        Background_operations_complete_in_order_and_blocking_ones_do_not_overtake,
        Background_operations_outlive_their_tensors,
        Strided_tensors_are_communicated_like_dense_ones,
        Objects_travel,
        Numbers_reduce_without_tensors,
        Groups_split_and_work_side_by_side,
        Overlapping_operations_of_random_sizes,
    }.ToDictionary(program => program.Method.Name);

    private static void All_reduce_sums_in_rank_order(ProcessGroup group)
    {
        var ranks = group.Size;
        foreach (var length in Lengths)
        {
            using var scope = NewDisposeScope();
            var tensor = Noise(group.Rank, length);
            var expected = Fold(ranks, rank => Noise(rank, length), add);
            group.AllReduce(tensor);
            AssertSame(expected, tensor);
        }
    }

    private static void Large_tensors_take_many_steps(ProcessGroup group)
    {
        var ranks = group.Size;
        const long Length = 1_200_003;
        using var scope = NewDisposeScope();
        var expected = Fold(ranks, rank => Noise(rank, Length), add);
        var tensor = Noise(group.Rank, Length);
        group.AllReduce(tensor);
        AssertSame(expected, tensor);
        Tensor[] pieces = [Noise(group.Rank, 700_001), Noise(group.Rank + 50, 500_000)];
        group.AllReduce(pieces);
        AssertSame(Fold(ranks, rank => Noise(rank, 700_001), add), pieces[0]);
        AssertSame(Fold(ranks, rank => Noise(rank + 50, 500_000), add), pieces[1]);
        tensor.copy_(Noise(group.Rank, Length));
        group.Reduce(tensor, ranks - 1);
        AssertSame(group.Rank == ranks - 1 ? expected : Noise(group.Rank, Length), tensor);
        tensor.copy_(Noise(group.Rank, Length));
        group.Broadcast(tensor, ranks / 2);
        AssertSame(Noise(ranks / 2, Length), tensor);
    }

    private static void Large_shares_take_many_steps(ProcessGroup group)
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

    private static void All_reduce_of_many_tensors_is_one_operation(ProcessGroup group)
    {
        var ranks = group.Size;
        using var scope = NewDisposeScope();
        Tensor[] Create(int rank) => [Noise(rank, 10), Noise(rank + 50, 0), Noise(rank + 100, 70_001), Noise(rank + 200, 1), Noise(rank + 300, 90_000)];
        var tensors = Create(group.Rank);
        group.AllReduce(tensors);
        for (var i = 0; i < tensors.Length; i++)
            AssertSame(Fold(ranks, rank => Create(rank)[i], add), tensors[i]);
    }

    private static void Every_reduction_of_every_type_agrees_with_libtorch(ProcessGroup group)
    {
        var ranks = group.Size;
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.Float64, ScalarType.Float16, ScalarType.BFloat16, ScalarType.Int64,
            ScalarType.Int32, ScalarType.Int16, ScalarType.Int8, ScalarType.Byte])
        {
            if (group is NcclProcessGroup && type == ScalarType.Int16)
                continue;
            foreach (var operation in Enum.GetValues<ReduceOperation>().Where(operation => IsDefined(type, operation)))
            {
                using var scope = NewDisposeScope();
                Tensor Create(int rank) => Noise(rank, 777).mul(3).add(4).to_type(type);
                var tensor = Create(group.Rank);
                group.AllReduce(tensor, operation);
                var expected = Fold(ranks, rank => Create(rank).to_type(WideType(type)), operation switch
                {
                    ReduceOperation.Max => maximum,
                    ReduceOperation.Min => minimum,
                    ReduceOperation.Product => mul,
                    _ => add,
                });
                if (operation == ReduceOperation.Mean)
                    expected /= ranks;
                AssertSame(expected.to_type(type), tensor, $"{operation} of {type}");
            }
        }
    }

    private static void Max_and_min_pass_on_NaN(ProcessGroup group)
    {
        var ranks = group.Size;
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.Float64, ScalarType.Float16, ScalarType.BFloat16])
        {
            foreach (var operation in (ReduceOperation[])[ReduceOperation.Max, ReduceOperation.Min])
            {
                using var scope = NewDisposeScope();
                var tensor = ones(40, type);
                if (group.Rank == ranks - 1)
                    tensor[35] = float.NaN;
                group.AllReduce(tensor, operation);
                Assert.True(tensor[35].isnan().item<bool>());
                Assert.Equal(39, tensor.nan_to_num(0).sum(ScalarType.Float32).item<float>());
            }
        }
    }

    private static void Bool_elements_reduce_as_logic(ProcessGroup group)
    {
        var ranks = group.Size;
        using var scope = NewDisposeScope();
        Tensor Mine() => arange(ranks + 1).eq(group.Rank);
        var any = Mine();
        group.AllReduce(any, ReduceOperation.Max);
        AssertSame(arange(ranks + 1).lt(ranks), any);
        var all = Mine().logical_not();
        group.AllReduce(all, ReduceOperation.Product);
        AssertSame(arange(ranks + 1).eq(ranks), all);
    }

    private static void Complex_elements_have_sum_and_mean(ProcessGroup group)
    {
        var ranks = group.Size;
        using var scope = NewDisposeScope();
        var tensor = complex(full(5, group.Rank + 1f), full(5, -2f * group.Rank));
        group.AllReduce(tensor, ReduceOperation.Mean);
        var mean = (ranks - 1) / 2f;
        AssertSame(complex(full(5, mean + 1), full(5, -2 * mean)), tensor);
        Assert.Throws<ArgumentException>(() => group.AllReduce(tensor, ReduceOperation.Max));
    }

    private static void All_gather_collects_in_rank_order(ProcessGroup group)
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

    private static void All_gather_may_gather_into_the_tensor_that_holds_its_own_share(ProcessGroup group)
    {
        var ranks = group.Size;
        using var scope = NewDisposeScope();
        var output = full(ranks * 1000L, -1f);
        var mine = output.narrow(0, group.Rank * 1000L, 1000);
        mine.fill_(group.Rank);
        group.AllGather(output, mine);
        AssertSame(arange(ranks, ScalarType.Float32).repeat_interleave(1000), output);
    }

    private static void Reduce_scatter_leaves_each_rank_its_share(ProcessGroup group)
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

    private static void All_to_all_transposes_shares(ProcessGroup group)
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

    private static void Rooted_operations_work_from_every_root(ProcessGroup group)
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

    private static void Messages_of_a_pair_keep_their_order(ProcessGroup group)
    {
        var ranks = group.Size;
        var (next, previous) = ((group.Rank + 1) % ranks, (group.Rank + ranks - 1) % ranks);
        if (ranks == 1)
            return;
        using var scope = NewDisposeScope();
        var sends = Lengths.Select((length, i) => group.SendAsync(Noise((group.Rank * 100) + i, length), next)).ToList();
        for (var i = 0; i < Lengths.Length; i++)
        {
            var received = zeros(Lengths[i]);
            group.Receive(received, previous);
            AssertSame(Noise((previous * 100) + i, Lengths[i]), received);
        }

        sends.ForEach(send => send.Wait());
    }

    private static void A_send_does_not_wait_behind_a_send_to_another_rank(ProcessGroup group)
    {
        var ranks = group.Size;
        if (ranks < 3)
            return;
        using var scope = NewDisposeScope();
        var large = zeros(1_000_000);
        if (group.Rank == 0)
        {
            var (first, second) = (group.SendAsync(large, 1), group.SendAsync(ones(1), 2));
            second.Wait();
            first.Wait();
        }
        else if (group.Rank == 2)
        {
            group.Receive(zeros(1), 0);
            group.Send(ones(1), 1);
        }
        else if (group.Rank == 1)
        {
            group.Receive(zeros(1), 2);
            group.Receive(large, 0);
        }
    }

    private static void Background_operations_complete_in_order_and_blocking_ones_do_not_overtake(ProcessGroup group)
    {
        var ranks = group.Size;
        using var scope = NewDisposeScope();
        var tensor = full(100_000, (float)group.Rank);
        var works = new List<Work>();
        for (var i = 0; i < 5; i++)
            works.Add(group.AllReduceAsync(tensor, ReduceOperation.Max));
        var gathered = zeros(100_000L * ranks);
        works.Add(group.AllGatherAsync(gathered, tensor));
        group.AllReduce(tensor);
        if (group is NcclProcessGroup)
            Task.WaitAll(works.Select(work => work.Completion));
        Assert.All(works, work => Assert.True(work.IsCompleted));
        AssertSame(full(100_000L * ranks, ranks - 1f), gathered);
        AssertSame(full(100_000, (float)(ranks * (ranks - 1))), tensor);
    }

    private static void Background_operations_outlive_their_tensors(ProcessGroup group)
    {
        var ranks = group.Size;
        var output = zeros(1000L * ranks);
        Work work;
        using (NewDisposeScope())
            work = group.AllGatherAsync(output, full(1000, (float)group.Rank));
        work.Wait();
        AssertSame(arange(ranks, ScalarType.Float32).repeat_interleave(1000), output);
        output.Dispose();
    }

    private static void Strided_tensors_are_communicated_like_dense_ones(ProcessGroup group)
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

    private static void Objects_travel(ProcessGroup group)
    {
        var ranks = group.Size;
        var mine = new Note(group.Rank, new string('x', group.Rank * 1000));
        Assert.Equal(Enumerable.Range(0, ranks).Select(rank => new Note(rank, new string('x', rank * 1000))), group.AllGatherObject(mine));
        Assert.Equal(new Note(ranks - 1, "last"), group.BroadcastObject(group.Rank == ranks - 1 ? new Note(ranks - 1, "last") : null, ranks - 1));
        if (ranks > 1 && group.Rank == 0)
            group.SendObject(mine, 1);
        else if (group.Rank == 1)
            Assert.Equal(new Note(0, ""), group.ReceiveObject<Note>(0));
    }

    private static void Numbers_reduce_without_tensors(ProcessGroup group)
    {
        var ranks = group.Size;
        double[] values = [group.Rank, 1];
        group.AllReduce(values, ReduceOperation.Mean);
        Assert.Equal([(ranks - 1) / 2.0, 1], values);
    }

    private static void Groups_split_and_work_side_by_side(ProcessGroup group)
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

    private static void Overlapping_operations_of_random_sizes(ProcessGroup group)
    {
        var ranks = group.Size;
        using var scope = NewDisposeScope();
        var random = new Random(5);
        for (var i = 0; i < 60; i++)
        {
            var length = random.Next(200_000);
            var tensor = full(length, group.Rank + i);
            var gathered = zeros(length * ranks);
            var works = new[] { group.AllReduceAsync(tensor), group.AllGatherAsync(gathered, full(length, (float)group.Rank)) };
            if (random.Next(2) == 0)
                Task.WaitAll(works.Select(work => work.Completion));
            group.Barrier();
            AssertSame(full(length, (ranks * (ranks - 1) / 2f) + (ranks * i)), tensor);
            AssertSame(arange(ranks, ScalarType.Float32).repeat_interleave(length), gathered);
        }
    }

    private static bool IsDefined(ScalarType type, ReduceOperation operation) =>
        operation != ReduceOperation.Mean || type is ScalarType.Float32 or ScalarType.Float64 or ScalarType.Float16 or ScalarType.BFloat16;

    /// <summary>The type that a reduction accumulates in.</summary>
    private static ScalarType WideType(ScalarType type) => type is ScalarType.Float16 or ScalarType.BFloat16 ? ScalarType.Float32 : type;

    /// <summary>What a reduction gives by definition: the ranks' tensors combined one after another, in rank order.</summary>
    private static Tensor Fold(int ranks, Func<int, Tensor> contribution, Func<Tensor, Tensor, Tensor> combine) =>
        Enumerable.Range(1, ranks - 1).Aggregate(contribution(0), (total, rank) => combine(total, contribution(rank)));

    /// <summary>The same numbers wherever and whenever it is called, from -0.5 to 0.5.</summary>
    /// <remarks>
    /// Written straight to memory: libtorch's generator is shared by all threads, and a TorchSharp Scalar can be finalized by a collection
    /// while libtorch still reads it (docs/testing.md).
    /// </remarks>
    private static unsafe Tensor Noise(int seed, long length)
    {
        var noise = empty(length, device: CPU);
        var values = (float*)TensorMemory.DataPointer(noise);
        var state = (uint)seed * 2_654_435_761;
        for (var i = 0L; i < length; i++)
        {
            state = (state * 1_664_525) + 1_013_904_223;
            values[i] = ((state >> 8) / (float)(1 << 24)) - 0.5f;
        }

        return noise.to(get_default_device());
    }

    private static void AssertSame(Tensor expected, Tensor actual, string? what = null)
    {
        using var scope = NewDisposeScope();
        Assert.Equal(expected.shape, actual.shape);
        if (!AreSame(expected, actual))
        {
            Assert.Fail($"{what} differs: expected {expected.ToString(TorchSharp.TensorStringStyle.Numpy)}, "
                + $"got {actual.ToString(TorchSharp.TensorStringStyle.Numpy)}");
        }
    }

    private static bool AreSame(Tensor expected, Tensor actual)
    {
        double? rounding = actual.dtype switch
        {
            ScalarType.Float64 => Math.Pow(2, -53),
            ScalarType.Float32 => Math.Pow(2, -24),
            ScalarType.Float16 => Math.Pow(2, -11),
            ScalarType.BFloat16 => Math.Pow(2, -8),
            _ => null,
        };

        // Each rank's contribution is rounded once or twice, and numbers here are at most some thousands.
        return OrderIsFree && rounding is { } bound
            ? expected.allclose(actual, 64 * bound, 64 * bound)
            : expected.eq(actual).all().item<bool>();
    }

    private sealed record Note(int From, string Text);
}
