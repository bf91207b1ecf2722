using ShardSharp.DataParallel;
using ShardSharp.Testing;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel;

/// <summary>Reductions begin while backward still computes other gradients.</summary>
public sealed class OverlapTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Starts_each_bucket_as_soon_as_its_gradients_are_known(bool overlap) => RankHarness.Run(
        2,
        group =>
        {
            using var module = Randoms.Filled(
                nn.Sequential(nn.Linear(4, 16), nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 2)));
            using var reducer = new GradientReducer(module, group, capacity: 1, overlap);
            var layers = module.children().Cast<nn.Module<Tensor, Tensor>>().ToArray();
            Assert.Equal(8, reducer.Buckets);

            // What is noted in front of a layer is seen when backward has left the layer.
            var started = new List<int>();
            reducer.Arm(last: true, lossScale: 1);
            var hidden = Randoms.Normal(group.Rank, 3, 4);
            foreach (var layer in layers)
            {
                hidden = hidden.requires_grad ? BackwardMarker.Mark(hidden, () => started.Add(reducer.Started)) : hidden;
                hidden = layer.call(hidden);
            }

            hidden.sum().backward();
            var atEnd = reducer.Started;
            reducer.Finish(last: true);

            Assert.Equal(overlap ? [2, 4, 6] : [0, 0, 0], started);
            Assert.Equal(overlap ? 6 : 0, atEnd);
            Assert.Equal(8, reducer.Started);
        });

    [Fact]
    public void A_rank_alone_reduces_nothing() => RankHarness.Run(
        1,
        group =>
        {
            using var module = Randoms.Filled(nn.Sequential(nn.Linear(4, 16), nn.Linear(16, 2)));
            using var reducer = new GradientReducer(module, group, capacity: 1, overlap: true);
            reducer.Arm(last: true, lossScale: 1);
            module.call(ones(3, 4)).sum().backward();
            reducer.Finish(last: true);
            Assert.Equal(0, reducer.Started);
        });

    [Fact]
    public void A_bucket_without_all_its_gradients_holds_back_those_behind_it() => RankHarness.Run(
        2,
        group =>
        {
            using var module = Randoms.Filled(
                nn.Sequential(nn.Linear(4, 16), nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 2)));
            using var reducer = new GradientReducer(module, group, capacity: 1, overlap: true);
            var layers = module.children().Cast<nn.Module<Tensor, Tensor>>().ToArray();
            reducer.Arm(last: true, lossScale: 1);
            var hidden = layers[1].call(layers[0].call(Randoms.Normal(group.Rank, 3, 4)));

            // The first rank leaves a layer out, so only its last layer's buckets start; the other rank's all do, and in that very order.
            if (group.Rank == 1)
                hidden = layers[2].call(hidden);
            layers[3].call(hidden).sum().backward();
            Assert.Equal(group.Rank == 0 ? 2 : 6, reducer.Started);
            reducer.Finish(last: true);
            Assert.All(module.parameters(), parameter => Assert.Equal(
                parameter.grad!.sum().item<float>(), group.AllGatherObject(parameter.grad!.sum().item<float>())[0]));
        });
}
