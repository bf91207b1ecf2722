using ShardSharp.Testing;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Communication;

public sealed class RehearsalTests
{
    /// <summary>One rank calls operations that the other does not, and afterwards both find that they are where they were.</summary>
    [Fact]
    public void Operations_have_results_of_the_right_shape_without_the_other_ranks() => RankHarness.Run(2, group =>
    {
        using var scope = NewDisposeScope();
        if (group.Rank == 1)
        {
            using var _ = group.Rehearse();
            var own = tensor([1.0f, 2, 3, 4]);
            group.AllReduce(own);
            Assert.Equal([1, 2, 3, 4], own.data<float>());

            var gathered = zeros(2, 4);
            group.AllGather(gathered, own);
            Assert.Equal([1, 2, 3, 4, 1, 2, 3, 4], gathered.data<float>());

            var part = zeros(2);
            group.ReduceScatter(part, own);
            Assert.Equal([3, 4], part.data<float>());

            var exchanged = zeros(4);
            group.AllToAll(exchanged, own);
            Assert.Equal([1, 2, 3, 4], exchanged.data<float>());
            group.AllGatherAsync(gathered, part.repeat(2)).Wait();
            Assert.Equal([3, 4, 3, 4, 3, 4, 3, 4], gathered.data<float>());
            group.Barrier();
        }

        var sum = ones(1);
        group.AllReduce(sum);
        Assert.Equal(2, sum.item<float>());
    });
}
