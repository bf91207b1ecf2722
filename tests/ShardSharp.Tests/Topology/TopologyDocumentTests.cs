using ShardSharp.Topology;

namespace ShardSharp.Tests.Topology;

/// <summary>The numbers in docs/topology.md are those the library computes.</summary>
public sealed class TopologyDocumentTests
{
    private static readonly string Document = Repository.Read("docs/topology.md");

    [Fact]
    public void The_table_of_eight_ranks_is_right()
    {
        var layout = new RankLayout(8, pipelineDegree: 2, tensorDegree: 2);

        foreach (var p in Enumerable.Range(0, 8).Select(rank => layout.PositionOf(rank, localSize: 4)))
        {
            int[] columns = [p.Rank, p.LocalRank, p.ReducedDataRank, p.PipelineRank, p.TensorRank, p.DataRank, p.ModelRank];
            Assert.Contains($"| {string.Join(" | ", columns)} |", Document, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void The_table_of_groups_is_right()
    {
        var layout = new RankLayout(8, pipelineDegree: 2, tensorDegree: 2);

        Assert.All(Enum.GetValues<GroupKind>(), kind => Assert.Contains(
            $"| {layout.SizeOf(kind)} | {string.Join(" ", layout.Groups(kind))} |", Line($"| `{kind}`"), StringComparison.Ordinal));
    }

    [Fact]
    public void The_table_of_placements_is_right() => Assert.All(PlacementStrategy.All, placement =>
    {
        var layout = new RankLayout(8, pipelineDegree: 2, tensorDegree: 2, placement);
        GroupKind[] kinds = [GroupKind.Tensor, GroupKind.Pipeline, GroupKind.ReducedData];
        Assert.Contains(
            $" | {string.Join(" | ", kinds.Select(kind => layout.GroupOf(kind, 0)))} |",
            Line($"| `{placement}`"),
            StringComparison.Ordinal);
    });

    private static string Line(string start) => Document.Split('\n').Single(line => line.StartsWith(start, StringComparison.Ordinal));
}
