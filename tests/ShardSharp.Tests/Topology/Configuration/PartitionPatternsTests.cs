using ShardSharp.Topology;

namespace ShardSharp.Tests.Topology.Configuration;

public sealed class PartitionPatternsTests
{
    [Theory]
    [InlineData("layers.0", 0)]
    [InlineData("layers.0.norm", 0)]
    [InlineData("layers.12", 1)]
    [InlineData("head", 2)]
    [InlineData("heads", null)]
    public void The_first_pattern_that_fits_the_name_or_one_above_it_counts(string name, int? stage) =>
        Assert.Equal(stage, PartitionPatterns.TryParse("layers.0=0, layers.*=1 ,hea?=2")!.Find(name)?.Stage);

    [Theory]
    [InlineData("")]
    [InlineData("layers")]
    [InlineData("layers=")]
    [InlineData("=1")]
    [InlineData("layers=-1")]
    [InlineData("layers=one")]
    [InlineData("a=1=2")]
    public void What_is_no_pattern_with_a_stage_is_refused(string text)
    {
        Assert.Null(PartitionPatterns.TryParse(text));
        Assert.Contains("layers.*=1", Loading.Violation($$"""{"auto_partition": false, "default_partition": 0, "partition_patterns": "{{text}}"}""").ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Patterns_are_for_partitioning_by_hand() => Assert.Contains(
        "auto_partition", Loading.Violation("""{"partition_patterns": "layers=0"}""").ToString(), StringComparison.Ordinal);
}
