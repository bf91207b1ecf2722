using ShardSharp.Testing;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel;

/// <summary>A distributed model begins with the parameters that the seed gives the module in plain TorchSharp.</summary>
[Collection(nameof(WholeProcess))]
public sealed class InitialParameterTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Are_those_of_plain_TorchSharp_with_the_seed(int ranks)
    {
        manual_seed(17);
        var expected = Create().parameters().ToArray();
        RankHarness.RunSessions(
            ranks,
            session =>
            {
                using var model = session.DistributedModel(Create);
                Assert.All(model.Parameters.Zip(expected), pair => Assert.True(pair.First.equal(pair.Second).all().item<bool>()));
            },
            new ParallelConfiguration { Seed = 17 });
    }

    [Fact]
    public void Are_those_of_the_first_rank_where_ranks_differ() => RankHarness.RunSessions(
        3,
        session =>
        {
            using var model = session.DistributedModel(() =>
            {
                var module = nn.Linear(3, 2);
                nn.init.constant_(module.weight!, session.Rank + 5);
                return module;
            });
            Assert.True(model.Module.weight!.eq(5).all().item<bool>());
        });

    private static nn.Module<Tensor, Tensor> Create() => nn.Sequential(nn.Linear(6, 20), nn.GELU(), nn.Linear(20, 3));
}
