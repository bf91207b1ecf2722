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

    [Theory]
    [InlineData(0b1111, 0, 2, 2, 0b0011)]
    [InlineData(0b1111, 1, 2, 1, 0b1100)]
    [InlineData(0b11010, 1, 3, 1, 0b1000)]
    [InlineData(0b111, 1, 2, 1, 0b010)]
    public void Gives_each_rank_cores_of_its_own(ulong available, int rank, int ranks, int threads, ulong share) =>
        Assert.Equal(share, HostCores.ShareOf(available, rank, ranks, threads));

    [Theory]
    [InlineData(0b11, 3, 1)]
    [InlineData(0b11, 2, 2)]
    public void Leaves_ranks_unpinned_where_cores_are_too_few(ulong available, int ranks, int threads) =>
        Assert.Null(HostCores.ShareOf(available, 0, ranks, threads));

    [Fact]
    public void Refuses_no_ranks() => Assert.Throws<ArgumentOutOfRangeException>(() => HostCores.ThreadsPerRank(0, 2));
}
