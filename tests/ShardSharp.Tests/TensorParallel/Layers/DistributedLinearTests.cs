using CsCheck;
using ShardSharp.TensorParallel;
using ShardSharp.TensorParallel.Layers;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel.Layers;

[Collection(nameof(WholeProcess))]
public sealed class DistributedLinearTests
{
    [Fact]
    public void Any_shape_computes_what_one_rank_does() => Gen.Select(
        Gen.Int[1, 4], Gen.Int[1, 3], Gen.Int[1, 5], Gen.Int[1, 3], Gen.Bool, Gen.Bool, Gen.Enum<OptimizationGoal>()).Sample(
        (ranks, perRank, outputs, batch, bias, prescaled, goal) => Comparison.Run(
            ranks, prescaled, goal, own => new DistributedLinear(ranks * perRank, outputs, own, bias), () => nn.Linear(ranks * perRank, outputs, bias),
            (module, inputs) => ((nn.Module<Tensor, Tensor>)module).call(inputs[0]!), Randoms.Normal(1, batch * ranks, 2, ranks * perRank)),
        iter: 40, threads: 1);

    [Fact]
    public void Sizes_that_ranks_do_not_divide_are_refused_with_degrees_that_work() => RankHarness.Run(4, group =>
    {
        var failure = Assert.Throws<TensorParallelException>(() => new DistributedLinear(18, 4, new TensorRanks(group)));
        Assert.Contains("in_features 18", failure.Message, StringComparison.Ordinal);
        Assert.EndsWith("1, 2, 3, 6, 9, 18.", failure.Message, StringComparison.Ordinal);
    });
}
