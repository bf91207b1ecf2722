using ShardSharp.Topology;

namespace ShardSharp.Tests.Topology;

public sealed class PlacementStrategyTests
{
    [Fact]
    public void Cluster_is_DPT_and_spread_is_TPD()
    {
        Assert.Same(PlacementStrategy.Parse("DPT"), PlacementStrategy.Parse("cluster"));
        Assert.Same(PlacementStrategy.Parse("TPD"), PlacementStrategy.Parse("spread"));
    }

    [Fact]
    public void Reads_every_permutation()
    {
        string[] orders = ["DPT", "DTP", "PDT", "PTD", "TDP", "TPD"];

        Assert.Equal(orders, PlacementStrategy.All.Select(strategy => strategy.Order));
        Assert.All(orders, order => Assert.Equal(order, PlacementStrategy.Parse(order).ToString()));
        Assert.Equal([AxisName.Pipeline, AxisName.Tensor, AxisName.Data], PlacementStrategy.Parse("PTD").Axes);
    }

    [Theory]
    [InlineData("")]
    [InlineData("Cluster")]
    [InlineData("DP")]
    [InlineData("DDP")]
    [InlineData("DPTT")]
    public void Rejects_anything_else_and_lists_what_would_work(string text)
    {
        var message = Assert.Throws<ArgumentException>(() => PlacementStrategy.Parse(text)).Message;

        Assert.Contains($"'{text}'", message, StringComparison.Ordinal);
        Assert.Contains("'cluster' (the same as DPT)", message, StringComparison.Ordinal);
        Assert.Contains("DPT, DTP, PDT, PTD, TDP, TPD", message, StringComparison.Ordinal);
    }
}
