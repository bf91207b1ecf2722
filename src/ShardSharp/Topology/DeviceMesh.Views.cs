namespace ShardSharp.Topology;

public sealed partial class DeviceMesh
{
    /// <summary>The group a rank forms with those that differ from it along the given axes only.</summary>
    /// <param name="rank">The world rank.</param>
    /// <param name="axes">The names of the axes; their order does not matter, members come in mesh order.</param>
    /// <exception cref="ArgumentException">The mesh has no such rank or axis, or an axis is named twice.</exception>
    public RankGroup GroupOf(int rank, params ReadOnlySpan<string> axes) => new(SubMesh(rank, axes)._ranks);

    /// <summary>All groups along the given axes: each rank of the mesh is in exactly one. They come in the mesh order of their first
    /// member.</summary>
    /// <param name="axes">The names of the axes; their order does not matter, members come in mesh order.</param>
    /// <exception cref="ArgumentException">The mesh has no such axis, or an axis is named twice.</exception>
    public IReadOnlyList<RankGroup> Groups(params ReadOnlySpan<string> axes)
    {
        var along = AxisIndices(axes);
        var members = Offsets(along);
        var starts = Offsets([.. Enumerable.Range(0, _axes.Length).Except(along)]);
        return [.. starts.Select(start => new RankGroup(members.Select(member => _ranks[start + member])))];
    }

    /// <summary>The mesh that a rank forms with those that differ from it along the given axes only.</summary>
    /// <param name="rank">The world rank.</param>
    /// <param name="axes">The names of the axes to keep; they keep the order they have in this mesh.</param>
    /// <exception cref="ArgumentException">The mesh has no such rank or axis, or an axis is named twice.</exception>
    public DeviceMesh SubMesh(int rank, params ReadOnlySpan<string> axes)
    {
        var index = IndexOf(rank);
        var kept = AxisIndices(axes);
        var start = index - kept.Sum(axis => Coordinate(index, axis) * Stride(axis));
        return new([.. kept.Select(axis => _axes[axis])], [.. Offsets(kept).Select(offset => _ranks[start + offset])]);
    }

    /// <summary>The ranks at one coordinate of an axis, as a mesh of the other axes.</summary>
    /// <param name="axis">The name of the axis to leave out.</param>
    /// <param name="coordinate">The coordinate along it.</param>
    /// <exception cref="ArgumentException">The mesh has no such axis, or the coordinate lies outside it.</exception>
    public DeviceMesh Slice(string axis, int coordinate)
    {
        var cut = AxisIndex(axis);
        var start = CheckedCoordinate(cut, coordinate) * Stride(cut);
        int[] kept = [.. Enumerable.Range(0, _axes.Length).Where(index => index != cut)];
        return new([.. kept.Select(index => _axes[index])], [.. Offsets(kept).Select(offset => _ranks[start + offset])]);
    }

    /// <summary>The same ranks with several axes joined into one, which takes the place of the first of them. Along it, the last of the
    /// joined axes varies fastest.</summary>
    /// <param name="name">The name of the new axis.</param>
    /// <param name="axes">The names of the axes to join, at least one, in any order; they need not be neighbours.</param>
    /// <exception cref="ArgumentException">The mesh has no such axis, an axis is named twice or none, or the new name is taken.</exception>
    public DeviceMesh Flatten(string name, params ReadOnlySpan<string> axes)
    {
        if (axes.IsEmpty)
            throw new ArgumentException($"Name the axes of the mesh ({this}) that are to be joined into '{name}'.", nameof(axes));

        var joined = AxisIndices(axes);
        int[] before = [.. Enumerable.Range(0, joined[0])];
        int[] after = [.. Enumerable.Range(0, _axes.Length).Except(before).Except(joined)];
        var flat = new MeshAxis(name, joined.Aggregate(1, (size, axis) => size * _axes[axis].Size));
        return new(
            [.. before.Select(axis => _axes[axis]), flat, .. after.Select(axis => _axes[axis])],
            [.. Offsets([.. before, .. joined, .. after]).Select(offset => _ranks[offset])]);
    }

    /// <summary>The same ranks with one axis split into several.</summary>
    /// <param name="axis">The name of the axis to split.</param>
    /// <param name="parts">The axes that take its place, slowest varying first; the product of their sizes is the size of the axis.</param>
    /// <exception cref="ArgumentException">The mesh has no such axis, the sizes do not multiply to its own, or a name is taken.</exception>
    public DeviceMesh Split(string axis, params IReadOnlyList<MeshAxis> parts)
    {
        var index = AxisIndex(axis);
        var size = CheckedSize(parts);
        if (size != _axes[index].Size)
        {
            throw new ArgumentException(
                $"Axis '{axis}' has {_axes[index].Size} ranks; {string.Join(" × ", parts)} makes {size}.", nameof(parts));
        }

        return new([.. _axes[..index], .. parts, .. _axes[(index + 1)..]], _ranks);
    }

    private int[] AxisIndices(ReadOnlySpan<string> names)
    {
        var indices = new SortedSet<int>();
        foreach (var name in names)
        {
            if (!indices.Add(AxisIndex(name)))
                throw new ArgumentException($"Axis '{name}' is named twice.", nameof(names));
        }

        return [.. indices];
    }

    /// <summary>The distance in mesh order from the first rank of the mesh to each rank along the given axes, the last varying
    /// fastest.</summary>
    private int[] Offsets(int[] axes)
    {
        int[] offsets = [0];
        foreach (var axis in axes)
        {
            var stride = Stride(axis);
            var size = _axes[axis].Size;
            offsets = [.. offsets.SelectMany(offset => Enumerable.Range(0, size).Select(coordinate => offset + (coordinate * stride)))];
        }

        return offsets;
    }
}
