using ShardSharp.Topology;

namespace ShardSharp.Tests.Topology;

/// <summary>The test vectors that SMP's documentation gives, and what the layout rejects.</summary>
public sealed class RankLayoutTests
{
    [Fact]
    public void Spread_puts_the_two_partitions_of_eight_ranks_four_apart()
    {
        var layout = new RankLayout(8, pipelineDegree: 2, placement: PlacementStrategy.Parse("spread"));

        Assert.Equal("[0, 4] [1, 5] [2, 6] [3, 7]", Text(layout, GroupKind.Model));
        Assert.Equal("[0, 1, 2, 3] [4, 5, 6, 7]", Text(layout, GroupKind.Data));
    }

    [Fact]
    public void Cluster_puts_the_two_partitions_of_eight_ranks_side_by_side()
    {
        var layout = new RankLayout(8, pipelineDegree: 2, placement: PlacementStrategy.Parse("cluster"));

        Assert.Equal("[0, 1] [2, 3] [4, 5] [6, 7]", Text(layout, GroupKind.Model));
        Assert.Equal("[0, 2, 4, 6] [1, 3, 5, 7]", Text(layout, GroupKind.Data));
    }

    [Fact]
    public void Letters_give_the_documented_formulas()
    {
        var dpt = new RankLayout(8, 2, 2, PlacementStrategy.Parse("DPT"));
        var ptd = new RankLayout(8, 2, 2, PlacementStrategy.Parse("PTD"));

        foreach (var rdp in (int[])[0, 1])
        {
            foreach (var pp in (int[])[0, 1])
            {
                foreach (var tp in (int[])[0, 1])
                {
                    Assert.Equal((4 * rdp) + (2 * pp) + tp, dpt.RankAt(rdp, pp, tp));
                    Assert.Equal((4 * pp) + (2 * tp) + rdp, ptd.RankAt(rdp, pp, tp));
                }
            }
        }
    }

    /// <summary>Contradiction C1: SMP's figure disagrees with its table for "cluster"; it is right for DTP.</summary>
    [Theory]
    [InlineData(0, 0, 0, 0, 0, 0)]
    [InlineData(1, 1, 0, 0, 0, 1)]
    [InlineData(2, 0, 1, 0, 1, 2)]
    [InlineData(3, 1, 1, 0, 1, 3)]
    [InlineData(4, 0, 0, 1, 2, 0)]
    [InlineData(5, 1, 0, 1, 2, 1)]
    [InlineData(6, 0, 1, 1, 3, 2)]
    [InlineData(7, 1, 1, 1, 3, 3)]
    public void The_figure_of_the_ranking_mechanism_is_DTP(int rank, int pp, int tp, int rdp, int dp, int mp)
    {
        var position = new RankLayout(8, 2, 2, PlacementStrategy.Parse("DTP")).PositionOf(rank);

        Assert.Equal(
            (pp, tp, rdp, dp, mp),
            (position.PipelineRank, position.TensorRank, position.ReducedDataRank, position.DataRank, position.ModelRank));
        Assert.Equal((rdp * 2) + tp, position.DataRank);
        Assert.Equal((tp * 2) + pp, position.ModelRank);
    }

    [Fact]
    public void The_figure_of_the_ranking_mechanism_has_these_groups()
    {
        var layout = new RankLayout(8, 2, 2, PlacementStrategy.Parse("DTP"));

        Assert.Equal("[0, 1] [2, 3] [4, 5] [6, 7]", Text(layout, GroupKind.Pipeline));
        Assert.Equal("[0, 2, 4, 6] [1, 3, 5, 7]", Text(layout, GroupKind.Data));
        Assert.Equal("[0, 2] [1, 3] [4, 6] [5, 7]", Text(layout, GroupKind.Tensor));
    }

    [Fact]
    public void Cluster_lets_the_tensor_rank_vary_fastest()
    {
        var position = new RankLayout(8, 2, 2).PositionOf(1);

        Assert.Equal((0, 0, 1), (position.ReducedDataRank, position.PipelineRank, position.TensorRank));
    }

    [Fact]
    public void Sharded_data_parallelism_with_tensor_parallelism_splits_the_reduced_data_groups()
    {
        var layout = new RankLayout(32, tensorDegree: 4);
        var mesh = layout.ShardedDataMesh(4);

        Assert.Equal(Enumerable.Range(0, 8).Select(i => Enumerable.Range(4 * i, 4)), layout.Groups(GroupKind.Tensor));
        Assert.Equal("[0, 4, 8, 12, 16, 20, 24, 28]", layout.GroupOf(GroupKind.ReducedData, 0).ToString());
        Assert.Equal("[0, 4, 8, 12]", mesh.GroupOf(0, AxisName.Shard).ToString());
        Assert.Equal("[16, 20, 24, 28]", mesh.GroupOf(16, AxisName.Shard).ToString());
        for (var rank = 0; rank < 16; rank++)
            Assert.Equal([rank, rank + 16], mesh.GroupOf(rank, AxisName.Replicate));
    }

    [Fact]
    public void Hosts_hold_consecutive_ranks_and_the_last_one_the_rest()
    {
        var layout = new RankLayout(7);

        Assert.Equal(
            [(0, 3), (1, 3), (2, 3), (0, 3), (1, 3), (2, 3), (0, 1)],
            Enumerable.Range(0, 7).Select(rank => layout.PositionOf(rank, 3)).Select(p => (p.LocalRank, p.LocalSize)));
        Assert.Equal((6, 7), (layout.PositionOf(6).LocalRank, layout.PositionOf(6).LocalSize));
    }

    [Theory]
    [InlineData(8, 3, 2, "3 × tensor-parallel degree 2 = 6 does", "multiple of 6 ranks", "pipeline-parallel degree 1, 2 or 4")]
    [InlineData(8, 2, 3, "= 6 does not divide the 8 ranks", "multiple of 6 ranks", "tensor-parallel degree 1, 2 or 4")]
    [InlineData(8, 3, 3, "= 9 does not divide the 8 ranks", "multiple of 9 ranks", "whose product is 1, 2, 4 or 8")]
    [InlineData(8, 4, 4, "= 16 does not divide the 8 ranks", "pipeline-parallel degree 1 or 2", "tensor-parallel degree 1 or 2")]
    [InlineData(1, 2, 1, "= 2 does not divide the 1 ranks", "multiple of 2 ranks", "pipeline-parallel degree 1.")]
    [InlineData(8, 65536, 65536, "= 4294967296 does not divide the 8 ranks", "multiple of 4294967296", "whose product is 1, 2, 4 or 8")]
    public void Rejects_degrees_that_do_not_divide_the_ranks_and_lists_those_that_do(
        int world, int pipeline, int tensor, params string[] parts)
    {
        var message = Assert.Throws<ArgumentException>(() => new RankLayout(world, pipeline, tensor)).Message;

        Assert.All(parts, part => Assert.Contains(part, message, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(0, 1, 1, "number of ranks is 0")]
    [InlineData(4, 0, 1, "pipeline-parallel degree is 0")]
    [InlineData(4, 1, -2, "tensor-parallel degree is -2")]
    public void Rejects_numbers_below_one(int world, int pipeline, int tensor, string part) =>
        Assert.Contains(
            part, Assert.Throws<ArgumentException>(() => new RankLayout(world, pipeline, tensor)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(16)]
    public void Rejects_a_sharded_data_degree_that_does_not_divide(int degree)
    {
        var layout = new RankLayout(32, tensorDegree: 4);

        var message = Assert.Throws<ArgumentException>(() => layout.ShardedDataMesh(degree)).Message;
        Assert.Contains($"degree {degree} does not divide the 8 ranks", message, StringComparison.Ordinal);
        Assert.Contains("Use 1, 2, 4 or 8.", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Rejects_ranks_and_hosts_that_do_not_exist()
    {
        var layout = new RankLayout(4);

        Assert.Throws<ArgumentOutOfRangeException>(() => layout.PositionOf(4));
        Assert.Throws<ArgumentOutOfRangeException>(() => layout.GroupOf(GroupKind.World, -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => layout.PositionOf(0, localSize: 5));
        Assert.Throws<ArgumentOutOfRangeException>(() => layout.PositionOf(0, localSize: 0));
        Assert.Throws<ArgumentException>(() => layout.RankAt(0, 1, 0));
    }

    private static string Text(RankLayout layout, GroupKind kind) => string.Join(' ', layout.Groups(kind));
}
