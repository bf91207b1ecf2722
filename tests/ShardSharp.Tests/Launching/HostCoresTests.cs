using ShardSharp.Launching;

namespace ShardSharp.Tests.Launching;

public sealed class HostCoresTests
{
    [Theory]
    [InlineData(1, 8, 8)]
    [InlineData(3, 8, 2)]
    [InlineData(8, 2, 1)]
    public void Divides_cores_among_ranks(int ranks, int cores, int threads) =>
        Assert.Equal(threads, HostCores.ThreadsPerRank(ranks, cores));

    [Fact]
    public void Refuses_no_ranks() => Assert.Throws<ArgumentOutOfRangeException>(() => HostCores.ThreadsPerRank(0, 2));
}
