namespace ShardSharp.Topology;

/// <summary>
/// Ranks arranged along named axes. A mesh is immutable; taking a part of it, or joining or splitting axes, gives another mesh.
/// Ranks are world ranks throughout. They are stored in mesh order: the last axis varies fastest.
/// </summary>
public sealed partial class DeviceMesh
{
    private readonly MeshAxis[] _axes;
    private readonly int[] _ranks;
    private readonly Dictionary<int, int> _indexOfRank;

    /// <summary>Arranges ranks 0, 1, 2 ... along the axes.</summary>
    /// <param name="axes">The axes, slowest varying first; the product of their sizes is the number of ranks.</param>
    /// <exception cref="ArgumentException">An axis has no name, a name another axis has, or a size below 1.</exception>
    public DeviceMesh(params IReadOnlyList<MeshAxis> axes)
        : this(axes, [.. Enumerable.Range(0, CheckedSize(axes))])
    {
    }

    private DeviceMesh(IReadOnlyList<MeshAxis> axes, int[] ranks)
    {
        CheckedSize(axes);
        _axes = [.. axes];
        _ranks = ranks;
        _indexOfRank = new(ranks.Length);
        for (var index = 0; index < ranks.Length; index++)
            _indexOfRank.Add(ranks[index], index);
    }

    /// <summary>The axes, slowest varying first.</summary>
    public IReadOnlyList<MeshAxis> Axes => _axes.AsReadOnly();

    /// <summary>The world ranks of the mesh, in mesh order.</summary>
    public IReadOnlyList<int> Ranks => _ranks.AsReadOnly();

    /// <summary>The number of ranks: the product of the sizes of the axes.</summary>
    public int Size => _ranks.Length;

    /// <summary>Whether a world rank is part of the mesh.</summary>
    /// <param name="rank">The world rank.</param>
    public bool Contains(int rank) => _indexOfRank.ContainsKey(rank);

    /// <summary>The number of ranks along an axis.</summary>
    /// <param name="axis">The name of the axis.</param>
    /// <exception cref="ArgumentException">The mesh has no such axis.</exception>
    public int SizeOf(string axis) => _axes[AxisIndex(axis)].Size;

    /// <summary>Where a rank lies along one axis.</summary>
    /// <param name="rank">The world rank.</param>
    /// <param name="axis">The name of the axis.</param>
    /// <exception cref="ArgumentException">The mesh has no such rank or no such axis.</exception>
    public int CoordinateOf(int rank, string axis) => Coordinate(IndexOf(rank), AxisIndex(axis));

    /// <summary>Where a rank lies along every axis, in the order of <see cref="Axes"/>.</summary>
    /// <param name="rank">The world rank.</param>
    /// <exception cref="ArgumentException">The mesh has no such rank.</exception>
    public IReadOnlyList<int> CoordinatesOf(int rank)
    {
        var index = IndexOf(rank);
        return [.. Enumerable.Range(0, _axes.Length).Select(axis => Coordinate(index, axis))];
    }

    /// <summary>The world rank at a place.</summary>
    /// <param name="coordinates">One coordinate per axis, in the order of <see cref="Axes"/>.</param>
    /// <exception cref="ArgumentException">There are not as many coordinates as axes, or one lies outside its axis.</exception>
    public int RankAt(params ReadOnlySpan<int> coordinates)
    {
        if (coordinates.Length != _axes.Length)
        {
            throw new ArgumentException(
                $"The mesh ({this}) has {_axes.Length} axes, but {coordinates.Length} coordinates were given.", nameof(coordinates));
        }

        var index = 0;
        for (var axis = 0; axis < _axes.Length; axis++)
            index += CheckedCoordinate(axis, coordinates[axis]) * Stride(axis);
        return _ranks[index];
    }

    /// <summary>The axes and their sizes, such as <c>data 2 × pipeline 2 × tensor 2</c>.</summary>
    public override string ToString() => string.Join(" × ", _axes);

    private static int CheckedSize(IReadOnlyList<MeshAxis> axes)
    {
        var size = 1;
        foreach (var axis in axes)
        {
            if (string.IsNullOrWhiteSpace(axis.Name) || axis.Size < 1)
                throw new ArgumentException($"Mesh axis '{axis}' needs a name and a size of at least 1.", nameof(axes));
            if (axes.Count(other => other.Name == axis.Name) > 1)
                throw new ArgumentException($"Two mesh axes are named '{axis.Name}'; the names must differ.", nameof(axes));
            size = checked(size * axis.Size);
        }

        return size;
    }

    private int AxisIndex(string name)
    {
        var index = Array.FindIndex(_axes, axis => axis.Name == name);
        return index >= 0 ? index : throw new ArgumentException($"The mesh ({this}) has no axis named '{name}'.", nameof(name));
    }

    private int IndexOf(int rank) => _indexOfRank.TryGetValue(rank, out var index)
        ? index
        : throw new ArgumentException($"Rank {rank} is not part of the mesh ({this}).", nameof(rank));

    private int CheckedCoordinate(int axis, int coordinate) => coordinate >= 0 && coordinate < _axes[axis].Size
        ? coordinate
        : throw new ArgumentException(
            $"Coordinate {coordinate} lies outside axis '{_axes[axis].Name}', which has coordinates 0 to {_axes[axis].Size - 1}.",
            nameof(coordinate));

    private int Coordinate(int index, int axis) => index / Stride(axis) % _axes[axis].Size;

    private int Stride(int axis)
    {
        var stride = 1;
        for (var inner = axis + 1; inner < _axes.Length; inner++)
            stride *= _axes[inner].Size;
        return stride;
    }
}
