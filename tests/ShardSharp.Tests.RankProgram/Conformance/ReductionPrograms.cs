using ShardSharp.Communication;
using ShardSharp.Communication.Nccl;
using Xunit;
using static ShardSharp.Tests.Communication.ConformanceData;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Communication;

/// <summary>Sums and other reductions: the result is that of combining the ranks' tensors one after another, in rank order.</summary>
internal static class ReductionPrograms
{
    public static void All_reduce_sums_in_rank_order(ProcessGroup group)
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

    public static void Large_tensors_take_many_steps(ProcessGroup group)
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

    public static void All_reduce_of_many_tensors_is_one_operation(ProcessGroup group)
    {
        var ranks = group.Size;
        using var scope = NewDisposeScope();
        Tensor[] Create(int rank) => [Noise(rank, 10), Noise(rank + 50, 0), Noise(rank + 100, 70_001), Noise(rank + 200, 1), Noise(rank + 300, 90_000)];
        var tensors = Create(group.Rank);
        group.AllReduce(tensors);
        for (var i = 0; i < tensors.Length; i++)
            AssertSame(Fold(ranks, rank => Create(rank)[i], add), tensors[i]);
    }

    public static void Every_reduction_of_every_type_agrees_with_libtorch(ProcessGroup group)
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

    public static void Max_and_min_pass_on_NaN(ProcessGroup group)
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

    public static void Bool_elements_reduce_as_logic(ProcessGroup group)
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

    public static void Complex_elements_have_sum_and_mean(ProcessGroup group)
    {
        var ranks = group.Size;
        using var scope = NewDisposeScope();
        var tensor = complex(full(5, group.Rank + 1f), full(5, -2f * group.Rank));
        group.AllReduce(tensor, ReduceOperation.Mean);
        var mean = (ranks - 1) / 2f;
        AssertSame(complex(full(5, mean + 1), full(5, -2 * mean)), tensor);
        Assert.Throws<ArgumentException>(() => group.AllReduce(tensor, ReduceOperation.Max));
    }

    public static void Numbers_reduce_without_tensors(ProcessGroup group)
    {
        var ranks = group.Size;
        double[] values = [group.Rank, 1];
        group.AllReduce(values, ReduceOperation.Mean);
        Assert.Equal([(ranks - 1) / 2.0, 1], values);
    }

    private static bool IsDefined(ScalarType type, ReduceOperation operation) =>
        operation != ReduceOperation.Mean || type is ScalarType.Float32 or ScalarType.Float64 or ScalarType.Float16 or ScalarType.BFloat16;

    /// <summary>The type that a reduction accumulates in.</summary>
    private static ScalarType WideType(ScalarType type) => type is ScalarType.Float16 or ScalarType.BFloat16 ? ScalarType.Float32 : type;
}
