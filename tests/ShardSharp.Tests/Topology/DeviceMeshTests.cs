using CsCheck;
using ShardSharp.Topology;

namespace ShardSharp.Tests.Topology;

public sealed class DeviceMeshTests
{
    private static readonly DeviceMesh Cube = new(new("a", 2), new("b", 3), new("c", 4));

    private static readonly Gen<DeviceMesh> Meshes = Gen.Int[1, 5].List[0, 4]
        .Select(sizes => new DeviceMesh([.. sizes.Select((size, index) => new MeshAxis($"axis{index}", size))]));

    [Fact]
    public void The_last_axis_varies_fastest()
    {
        Assert.Equal(24, Cube.Size);
        Assert.Equal((1 * 12) + (2 * 4) + 3, Cube.RankAt(1, 2, 3));
        Assert.Equal([0, 1, 2], Cube.CoordinatesOf(6));
        Assert.Equal(1, Cube.CoordinateOf(6, "b"));
        Assert.Equal(3, Cube.SizeOf("b"));
        Assert.Equal("a 2 × b 3 × c 4", Cube.ToString());
    }

    [Fact]
    public void Coordinates_and_ranks_convert_both_ways() => Meshes.Sample(mesh =>
    {
        Assert.Equal(Enumerable.Range(0, mesh.Size), mesh.Ranks);
        foreach (var rank in mesh.Ranks)
            Assert.Equal(rank, mesh.RankAt([.. mesh.CoordinatesOf(rank)]));
    });

    [Fact]
    public void Groups_along_any_axes_partition_the_mesh() => Gen.Select(Meshes, Gen.Int[0, 15]).Sample((mesh, mask) =>
    {
        string[] along = [.. mesh.Axes.Select(axis => axis.Name).Where((_, index) => (mask >> index & 1) == 1)];
        var groups = mesh.Groups(along);

        Assert.Equal(mesh.Ranks, groups.SelectMany(group => group).Order());
        foreach (var group in groups)
        {
            Assert.Equal(along.Aggregate(1, (size, axis) => size * mesh.SizeOf(axis)), group.Count);
            foreach (var rank in group)
            {
                Assert.Equal(group, mesh.GroupOf(rank, along));
                Assert.All(
                    mesh.Axes.Select(axis => axis.Name).Except(along),
                    axis => Assert.Equal(mesh.CoordinateOf(group[0], axis), mesh.CoordinateOf(rank, axis)));
            }
        }
    });

    [Fact]
    public void The_order_in_which_axes_are_named_does_not_matter() =>
        Assert.Equal(Cube.Groups("a", "c"), Cube.Groups("c", "a"));

    [Fact]
    public void A_slice_holds_the_ranks_at_one_coordinate()
    {
        var slice = Cube.Slice("b", 2);

        Assert.Equal([new("a", 2), new("c", 4)], slice.Axes);
        Assert.Equal([8, 9, 10, 11, 20, 21, 22, 23], slice.Ranks);
        Assert.Equal(Cube.RankAt(1, 2, 3), slice.RankAt(1, 3));
        Assert.False(slice.Contains(0));
    }

    [Fact]
    public void A_sub_mesh_holds_the_ranks_that_share_the_other_coordinates()
    {
        var sub = Cube.SubMesh(Cube.RankAt(1, 2, 3), "a", "b");

        Assert.Equal([new("a", 2), new("b", 3)], sub.Axes);
        Assert.Equal([3, 7, 11, 15, 19, 23], sub.Ranks);
        Assert.Equal([1, 2], sub.CoordinatesOf(23));
        Assert.Equal([15, 19, 23], sub.GroupOf(23, "b"));
    }

    [Fact]
    public void Flattening_joins_axes_that_are_not_neighbours()
    {
        var flat = Cube.Flatten("ac", "c", "a");

        Assert.Equal([new("ac", 8), new("b", 3)], flat.Axes);
        Assert.Equal(Cube.Groups("a", "c"), flat.Groups("ac"));
        Assert.Equal(Cube.Groups("b"), flat.Groups("b"));
        Assert.Equal(Cube.RankAt(1, 2, 3), flat.RankAt((1 * 4) + 3, 2));
    }

    [Fact]
    public void Splitting_undoes_flattening() => Gen.Select(Meshes, Gen.Int[1, 4], Gen.Int[1, 4]).Sample((mesh, outer, inner) =>
    {
        var wide = new DeviceMesh([.. mesh.Axes, new("outer", outer), new("inner", inner)]);
        var again = wide.Flatten("both", "outer", "inner").Split("both", new("outer", outer), new("inner", inner));

        Assert.Equal(wide.Axes, again.Axes);
        Assert.Equal(wide.Ranks, again.Ranks);
    });

    [Fact]
    public void Agrees_with_the_rank_layout()
    {
        foreach (var layout in Factorings.All())
        {
            for (var rank = 0; rank < layout.WorldSize; rank++)
            {
                var position = layout.PositionOf(rank);
                Assert.Equal(position.PipelineRank, layout.Mesh.CoordinateOf(rank, AxisName.Pipeline));
                Assert.Equal(position.TensorRank, layout.Mesh.CoordinateOf(rank, AxisName.Tensor));
                Assert.Equal(position.ReducedDataRank, layout.Mesh.CoordinateOf(rank, AxisName.Data));
            }

            var flat = layout.Mesh.Flatten("dp", AxisName.Data, AxisName.Tensor);
            Assert.Equal(layout.Groups(GroupKind.Data), flat.Groups("dp").OrderBy(group => group[0]));
            Assert.Equal(
                layout.Groups(GroupKind.Data),
                Enumerable.Range(0, layout.SizeOf(GroupKind.Pipeline))
                    .Select(stage => layout.Mesh.Slice(AxisName.Pipeline, stage).Groups(AxisName.Data, AxisName.Tensor).Single())
                    .OrderBy(group => group[0]));
        }
    }

    [Fact]
    public void Rejects_what_does_not_exist_and_says_what_does()
    {
        AssertFails("no axis named 'd'", () => Cube.Groups("d"));
        AssertFails("Axis 'a' is named twice", () => Cube.Groups("a", "a"));
        AssertFails("Rank 24 is not part of the mesh (a 2 × b 3 × c 4)", () => Cube.GroupOf(24, "a"));
        AssertFails("coordinates 0 to 2", () => Cube.Slice("b", 3));
        AssertFails("coordinates 0 to 3", () => Cube.RankAt(0, 0, -1));
        AssertFails("has 3 axes, but 2 coordinates", () => Cube.RankAt(0, 0));
        AssertFails("are to be joined into 'none'", () => Cube.Flatten("none"));
        AssertFails("Two mesh axes are named 'b'", () => Cube.Flatten("b", "a", "c"));
        AssertFails("Axis 'c' has 4 ranks; x 2 × y 3 makes 6", () => Cube.Split("c", new("x", 2), new("y", 3)));
        AssertFails("Two mesh axes are named 'a'", () => new DeviceMesh(new("a", 2), new("a", 2)));
        AssertFails("a size of at least 1", () => new DeviceMesh(new MeshAxis("a", 0)));
        AssertFails("needs a name", () => new DeviceMesh(new MeshAxis(" ", 1)));
    }

    private static void AssertFails(string part, Func<object?> act) =>
        Assert.Contains(part, Assert.Throws<ArgumentException>(act).Message, StringComparison.Ordinal);
}
