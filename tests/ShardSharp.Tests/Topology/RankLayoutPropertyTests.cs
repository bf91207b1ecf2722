using ShardSharp.Topology;

namespace ShardSharp.Tests.Topology;

/// <summary>What holds for every layout, checked on all factorings of up to 64 ranks under all placements.</summary>
public sealed class RankLayoutPropertyTests
{
    private static readonly GroupKind[] Kinds = Enum.GetValues<GroupKind>();

    [Fact]
    public void Ranks_are_the_mixed_radix_number_of_their_coordinates()
    {
        foreach (var layout in Factorings.All())
        {
            for (var rank = 0; rank < layout.WorldSize; rank++)
            {
                var p = layout.PositionOf(rank);
                var digits = new Dictionary<char, (int Digit, int Radix)>
                {
                    ['D'] = (p.ReducedDataRank, p.ReducedDataSize),
                    ['P'] = (p.PipelineRank, p.PipelineSize),
                    ['T'] = (p.TensorRank, p.TensorSize),
                };
                Assert.All(digits.Values, digit => Assert.InRange(digit.Digit, 0, digit.Radix - 1));
                Assert.Equal(
                    rank, layout.Placement.Order.Aggregate(0, (sum, letter) => (sum * digits[letter].Radix) + digits[letter].Digit));
                Assert.Equal(rank, layout.RankAt(p.ReducedDataRank, p.PipelineRank, p.TensorRank));
            }
        }
    }

    [Fact]
    public void Sizes_multiply_to_the_world()
    {
        foreach (var layout in Factorings.All())
        {
            var p = layout.PositionOf(layout.WorldSize - 1);
            Assert.Equal(layout.WorldSize, p.Size);
            Assert.Equal(p.Size, p.ModelSize * p.ReducedDataSize);
            Assert.Equal(p.Size, p.PipelineSize * p.DataSize);
            Assert.Equal(p.Size, p.PipelineSize * p.TensorSize * p.ReducedDataSize);
            Assert.Equal(p.DataSize, p.ReducedDataSize * p.TensorSize);
            Assert.Equal(p.ModelSize, p.PipelineSize * p.TensorSize);
            Assert.Equal(p.TensorSize == 1, p.ModelSize * p.DataSize == p.Size);
        }
    }

    [Fact]
    public void Groups_of_each_kind_partition_the_world()
    {
        foreach (var layout in Factorings.All())
        {
            foreach (var kind in Kinds)
            {
                Assert.Equal(Enumerable.Range(0, layout.WorldSize), layout.Groups(kind).SelectMany(group => group).Order());
                Assert.All(layout.Groups(kind), group => Assert.Equal(layout.SizeOf(kind), group.Count));
                Assert.Equal(layout.Groups(kind).OrderBy(group => group.Min()), layout.Groups(kind));
            }
        }
    }

    [Fact]
    public void Members_agree_on_their_group_are_ordered_by_world_rank_and_round_trip()
    {
        foreach (var layout in Factorings.All())
        {
            foreach (var kind in Kinds)
            {
                foreach (var group in layout.Groups(kind))
                {
                    Assert.Equal(group.Order(), group);
                    for (var index = 0; index < group.Count; index++)
                    {
                        Assert.Equal(group, layout.GroupOf(kind, group[index]));
                        Assert.Equal(index, layout.RankIn(kind, group[index]));
                    }
                }
            }
        }
    }

    [Fact]
    public void Members_share_exactly_the_coordinates_that_define_the_group()
    {
        foreach (var layout in Factorings.All())
        {
            RankPosition[] world = [.. Enumerable.Range(0, layout.WorldSize).Select(rank => layout.PositionOf(rank))];
            foreach (var p in world)
            {
                (var rdp, var pp, var tp) = (p.ReducedDataRank, p.PipelineRank, p.TensorRank);
                Check(GroupKind.Pipeline, p.Rank, q => q.ReducedDataRank == rdp && q.TensorRank == tp);
                Check(GroupKind.Tensor, p.Rank, q => q.ReducedDataRank == rdp && q.PipelineRank == pp);
                Check(GroupKind.ReducedData, p.Rank, q => q.PipelineRank == pp && q.TensorRank == tp);
                Check(GroupKind.Data, p.Rank, q => q.PipelineRank == pp);
                Check(GroupKind.Model, p.Rank, q => q.ReducedDataRank == rdp);
                Check(GroupKind.World, p.Rank, _ => true);
            }

            void Check(GroupKind kind, int rank, Func<RankPosition, bool> together) => Assert.True(
                layout.GroupOf(kind, rank).SequenceEqual(world.Where(together).Select(q => q.Rank)), $"{layout}: {kind} of rank {rank}");
        }
    }

    [Fact]
    public void Tensor_groups_lie_within_data_and_model_groups()
    {
        foreach (var layout in Factorings.All())
        {
            foreach (var tensor in layout.Groups(GroupKind.Tensor))
            {
                Assert.Subset(layout.GroupOf(GroupKind.Data, tensor[0]).ToHashSet(), tensor.ToHashSet());
                Assert.Subset(layout.GroupOf(GroupKind.Model, tensor[0]).ToHashSet(), tensor.ToHashSet());
            }

            if (layout.SizeOf(GroupKind.Tensor) == 1)
                Assert.Equal(layout.Groups(GroupKind.Pipeline), layout.Groups(GroupKind.Model));
            if (layout.SizeOf(GroupKind.Pipeline) == 1)
                Assert.Equal(layout.Groups(GroupKind.Tensor), layout.Groups(GroupKind.Model));
        }
    }

    /// <summary>The order of members is that of the letters: see the remarks on <see cref="RankLayout"/>.</summary>
    [Fact]
    public void Data_and_model_ranks_count_in_the_order_of_the_letters()
    {
        foreach (var layout in Factorings.All())
        {
            var order = layout.Placement.Order;
            var tensorAfterData = order.IndexOf('T', StringComparison.Ordinal) > order.IndexOf('D', StringComparison.Ordinal);
            var tensorAfterPipeline = order.IndexOf('T', StringComparison.Ordinal) > order.IndexOf('P', StringComparison.Ordinal);
            for (var rank = 0; rank < layout.WorldSize; rank++)
            {
                var p = layout.PositionOf(rank);
                Assert.Equal(
                    tensorAfterData
                        ? (p.ReducedDataRank * p.TensorSize) + p.TensorRank
                        : (p.TensorRank * p.ReducedDataSize) + p.ReducedDataRank,
                    p.DataRank);
                Assert.Equal(
                    tensorAfterPipeline ? (p.PipelineRank * p.TensorSize) + p.TensorRank : (p.TensorRank * p.PipelineSize) + p.PipelineRank,
                    p.ModelRank);
            }
        }
    }

    [Fact]
    public void Sharding_groups_are_runs_of_the_reduced_data_group_and_replicas_stand_a_degree_apart()
    {
        foreach (var layout in Factorings.All())
        {
            foreach (var degree in Factorings.Divisors(layout.SizeOf(GroupKind.ReducedData)))
            {
                var mesh = layout.ShardedDataMesh(degree);
                foreach (var group in layout.Groups(GroupKind.ReducedData))
                {
                    int[][] shards = [.. group.Chunk(degree)];
                    for (var index = 0; index < group.Count; index++)
                    {
                        var rank = group[index];
                        Assert.True(mesh.GroupOf(rank, AxisName.Shard).SequenceEqual(shards[index / degree]), $"{mesh}, rank {rank}");
                        Assert.True(
                            mesh.GroupOf(rank, AxisName.Replicate).SequenceEqual(shards.Select(shard => shard[index % degree])),
                            $"{mesh}, rank {rank}");
                    }
                }
            }
        }
    }
}
