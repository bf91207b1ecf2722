using ShardSharp.Launching;

namespace ShardSharp.Tests.Launching;

public sealed class RankPrefixTests
{
    [Theory]
    [InlineData(0, 1, "[rank 0] ")]
    [InlineData(9, 10, "[rank 9] ")]
    [InlineData(9, 11, "[rank  9] ")]
    [InlineData(10, 11, "[rank 10] ")]
    public void Aligns_to_the_widest_rank(int rank, int worldSize, string expected) =>
        Assert.Equal(expected, RankPrefix.Of(rank, worldSize));
}
