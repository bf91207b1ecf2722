using ShardSharp.Topology;

namespace ShardSharp.Tests.Topology;

public sealed class RankGroupTests
{
    private static readonly RankGroup Group = new RankLayout(8, pipelineDegree: 2).GroupOf(GroupKind.Data, 1);

    [Fact]
    public void Converts_between_group_and_world_ranks()
    {
        Assert.Equal("[1, 3, 5, 7]", Group.ToString());
        Assert.Equal(5, Group[2]);
        Assert.Equal(2, Group.RankOf(5));
        Assert.True(Group.Contains(7));
        Assert.False(Group.Contains(2));
    }

    [Fact]
    public void Equals_a_group_of_the_same_ranks_in_the_same_order()
    {
        var same = new RankGroup([1, 3, 5, 7]);

        Assert.True(Group.Equals((object)same));
        Assert.Equal(Group.GetHashCode(), same.GetHashCode());
        Assert.False(Group.Equals(new RankGroup([3, 1, 5, 7])));
        Assert.False(Group.Equals(null));
    }

    [Fact]
    public void Rejects_ranks_it_does_not_have()
    {
        Assert.Contains("[1, 3, 5, 7]", Assert.Throws<ArgumentException>(() => Group.RankOf(2)).Message, StringComparison.Ordinal);
        Assert.Contains("no rank 4", Assert.Throws<ArgumentOutOfRangeException>(() => Group[4]).Message, StringComparison.Ordinal);
    }
}
