using ShardSharp.Communication.Hierarchical;

namespace ShardSharp.Tests.Communication.Hierarchical;

public sealed class HostMapTests
{
    private static readonly HostMap Uneven = new(["b", "a", "b", "b", "a"]);

    [Fact]
    public void Members_are_found_by_host_and_place()
    {
        Assert.Equal(2, Uneven.Hosts);
        Assert.True(Uneven.AnyShared);
        Assert.Equal([0, 2, 3], Uneven.MembersOn(0));
        Assert.Equal([1, 4], Uneven.MembersOn(1));
        Assert.Equal([0, 1, 0, 0, 1], Enumerable.Range(0, 5).Select(Uneven.HostOf));
        Assert.Equal([0, 0, 1, 2, 1], Enumerable.Range(0, 5).Select(Uneven.PlaceOf));
    }

    [Fact]
    public void A_member_is_its_own_deputy_at_home() =>
        Assert.Equal(Enumerable.Range(0, 5), Enumerable.Range(0, 5).Select(member => Uneven.DeputyOf(member, Uneven.HostOf(member))));

    [Fact]
    public void Deputies_elsewhere_take_turns()
    {
        Assert.Equal([1, 4, 1], Uneven.MembersOn(0).Select(member => Uneven.DeputyOf(member, 1)));
        Assert.Equal([0, 2], Uneven.MembersOn(1).Select(member => Uneven.DeputyOf(member, 0)));
    }

    [Fact]
    public void Hosts_of_one_member_each_share_nothing() => Assert.False(new HostMap(["a", "b"]).AnyShared);
}
