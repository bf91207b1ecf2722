using CsCheck;
using ShardSharp.Pipeline.Partitioning;

namespace ShardSharp.Tests.Pipeline.Partitioning;

public sealed class PipelinePartitionerTests
{
    private static readonly Gen<LayerCost[]> Models =
        Gen.Select(Gen.Int[0, 9], Gen.Int[0, 9], Gen.Int[0, 9], Gen.Int[0, 12]).Array[1, 12].Select(costs => costs
            .Select((cost, i) => new LayerCost($"layer{i}", cost.Item1, cost.Item2, cost.Item3)
            {
                // One layer in four is tied to those with the same number.
                SharedParameters = cost.Item4 < 3 ? [$"tied{cost.Item4}"] : [],
            })
            .ToArray());

    [Fact]
    public void No_other_partition_is_better() =>
        Gen.Select(Models, Gen.Int[1, 12], Gen.Double[0, 1], Gen.Int[0, 60]).Sample((layers, stages, weight, limit) =>
        {
            var all = AllPartitions(layers, stages).Where(parts => parts.All(part => part.Sum(layer => layer.Bytes) <= limit)).ToArray();
            if (all.Length == 0)
            {
                Assert.Throws<ArgumentException>(() => PipelinePartitioner.Partition(layers, stages, weight, limit));
                return;
            }

            var partition = PipelinePartitioner.Partition(layers, stages, weight, limit);

            Assert.Equal(all.Min(parts => parts.Max(part => Cost(part, layers, weight))), partition.Stages.Max(stage => stage.Cost), 9);
            Assert.Equal(layers.Length, partition.Stages.Sum(stage => stage.Count));
            Assert.Contains(all, parts => parts.Select(part => part.Length).SequenceEqual(partition.Stages.Select(stage => stage.Count)));
            for (var layer = 0; layer < layers.Length; layer++)
                Assert.InRange(layer - partition.Stages[partition.StageOf(layer)].First, 0, partition.Stages[partition.StageOf(layer)].Count - 1);
        });

    [Fact]
    public void Among_equals_the_rest_is_balanced_too()
    {
        LayerCost[] layers = [.. new double[] { 1, 1, 1, 1, 4 }.Select((time, i) => new LayerCost($"{i}", time, 0, 0))];

        Assert.Equal([2, 2, 1], PipelinePartitioner.Partition(layers, 3).Stages.Select(stage => stage.Count));
    }

    [Theory]
    [InlineData(1, new[] { 3, 1 })]
    [InlineData(0, new[] { 1, 3 })]
    public void The_weight_says_whether_memory_or_time_counts(double memoryWeight, int[] counts)
    {
        LayerCost[] layers = [new("a", 9, 1, 0), new("b", 1, 1, 0), new("c", 1, 1, 1), new("d", 1, 8, 1)];

        Assert.Equal(counts, PipelinePartitioner.Partition(layers, 2, memoryWeight).Stages.Select(stage => stage.Count));
    }

    [Fact]
    public void Two_hundred_layers_go_onto_64_stages()
    {
        LayerCost[] layers = [.. Enumerable.Range(0, 200).Select(i => new LayerCost($"layer{i}", 1 + (i % 7), 100 + (i % 3), i % 5))];

        Assert.True(PipelinePartitioner.Partition(layers, 64).Imbalance < 0.35);
    }

    [Fact]
    public void What_cannot_be_is_refused_with_what_can()
    {
        LayerCost[] layers = [new("a", 1, 5, 0) { SharedParameters = ["w"] }, new("b", 1, 7, 0), new("c", 1, 5, 0) { SharedParameters = ["w"] }, new("d", 1, 3, 0)];

        Assert.Contains("Use at most 2 stages", Refusal(3, null), StringComparison.Ordinal);
        Assert.Contains("17 bytes is the least", Refusal(2, 16), StringComparison.Ordinal);

        string Refusal(int stages, long? limit) =>
            Assert.Throws<ArgumentException>(() => PipelinePartitioner.Partition(layers, stages, stageBytes: limit)).Message;
    }

    [Fact]
    public void A_partition_is_shown_as_a_table()
    {
        LayerCost[] layers = [new("embed", 1, 30, 0), new("block.0", 2, 10, 10), new("block.1", 2, 10, 10), new("head", 1, 30, 0)];

        Assert.Equal(
            """
            stage  layers                                     cost    time  memory
                0  embed to block.0 (2)                     50.0 %  50.0 %  50.0 %
                1  block.1 to head (2)                      50.0 %  50.0 %  50.0 %

            """.ReplaceLineEndings("\n"),
            PipelinePartitioner.Partition(layers, 2).ToString());
    }

    private static IEnumerable<LayerCost[][]> AllPartitions(LayerCost[] layers, int stages)
    {
        for (var cuts = 0; cuts < 1 << (layers.Length - 1); cuts++)
        {
            if (int.PopCount(cuts) != stages - 1)
                continue;
            var parts = new List<LayerCost[]>();
            for (int end = 1, begin = 0; end <= layers.Length; end++)
            {
                if (end == layers.Length || (cuts >> (end - 1) & 1) == 1)
                {
                    parts.Add(layers[begin..end]);
                    begin = end;
                }
            }

            if (layers.SelectMany(layer => layer.SharedParameters).All(tied => parts.Count(part => part.Any(layer => layer.SharedParameters.Contains(tied))) == 1))
                yield return [.. parts];
        }
    }

    private static double Cost(LayerCost[] part, LayerCost[] layers, double weight)
    {
        double bytes = layers.Sum(layer => layer.Bytes), time = layers.Sum(layer => layer.Time);
        return (weight * (bytes > 0 ? part.Sum(layer => layer.Bytes) / bytes : 0)) + ((1 - weight) * (time > 0 ? part.Sum(layer => layer.Time) / time : 0));
    }
}
