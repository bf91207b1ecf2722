using ShardSharp.Pipeline.Partitioning;

namespace ShardSharp.Tests.Pipeline.Partitioning;

public sealed class PipelinePartitionFileTests
{
    [Fact]
    public void A_partition_is_read_as_it_was_written()
    {
        LayerCost[] layers =
        [
            new("a", 0.1, 3, 5) { SharedParameters = ["a.weight"] }, new("b", 1.0 / 3, 1L << 40, 0), new("c", 0, 3, 1) { SharedParameters = ["a.weight"] },
        ];
        var partition = PipelinePartition.Of(layers, [2, 1], 0.8);

        var again = PipelinePartitionFile.Parse(PipelinePartitionFile.Format(partition));

        Assert.Equal(partition.Stages, again.Stages);
        Assert.Equal(partition.ToString(), again.ToString());
        Assert.Equal(
            layers.Select(layer => (layer.Name, layer.Time, layer.ParameterBytes, layer.ActivationBytes, string.Join(",", layer.SharedParameters))),
            again.Layers.Select(layer => (layer.Name, layer.Time, layer.ParameterBytes, layer.ActivationBytes, string.Join(",", layer.SharedParameters))));
    }

    [Theory]
    [InlineData("{", "no partition")]
    [InlineData("null", "null")]
    [InlineData("""{"version": 1}""", "stages")]
    [InlineData("""{"version": 2, "stages": [{"parts": [{"name": "a"}]}]}""", "version 2")]
    [InlineData("""{"version": 1, "stages": []}""", "no stage")]
    [InlineData("""{"version": 1, "stages": [{"parts": []}]}""", "Stage 0")]
    [InlineData("""{"version": 1, "stages": [{"parts": [{"name": "a"}]}, {"parts": [{"name": "a"}]}]}""", "'a' twice")]
    [InlineData("""{"version": 1, "stages": [{"parts": [{"name": "a", "tme": 1}]}]}""", "tme")]
    [InlineData("""{"version": 1, "stages": [{"parts": [{"name": "a", "time": -1}]}]}""", "negative")]
    [InlineData("""{"version": 1, "stages": [{"parts": [{"name": null}]}]}""", "no partition")]
    [InlineData("""{"version": 1, "version": 1, "stages": [{"parts": [{"name": "a"}]}]}""", "no partition")]
    public void What_is_none_is_refused(string json, string why) => Assert.Contains(
        why, Assert.Throws<FormatException>(() => PipelinePartitionFile.Parse(json)).Message, StringComparison.Ordinal);
}
