using TrainGpt.Reporting;

namespace ShardSharp.Tests.Samples;

public sealed class SparklineTests
{
    [Fact]
    public void Heights_run_from_the_least_to_the_greatest_value() =>
        Assert.Equal("▁▂▃▄▅▆▇█", Sparkline.Draw([0, 1, 2, 3, 4, 5, 6, 7]));

    [Fact]
    public void Many_values_share_a_character() => Assert.Equal(Sparkline.Width, Sparkline.Draw([.. Enumerable.Range(0, 1000)]).Length);

    [Fact]
    public void Nothing_draws_nothing() => Assert.Equal(string.Empty, Sparkline.Draw([]));
}
