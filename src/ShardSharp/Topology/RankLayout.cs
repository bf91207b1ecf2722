namespace ShardSharp.Topology;

/// <summary>
/// Which rank holds which part of the model and which samples, from the parallelism degrees and a placement strategy, with the groups,
/// ranks and sizes that follow. The arithmetic is that of the SageMaker Model Parallelism Library (SMP):
/// pipeline × tensor × reduced data = world, pipeline × data = world, model × reduced data = world.
/// </summary>
/// <remarks>
/// The members of every group are ordered by world rank; a rank's position in that order is its rank in the group. So a rank in the data
/// or model group counts in the order of the placement letters: with T after D (DPT) the data rank is
/// <c>reduced data rank × tensor size + tensor rank</c>, with D after T (TPD) it is
/// <c>tensor rank × reduced data size + reduced data rank</c>.
/// </remarks>
public sealed class RankLayout
{
    private readonly Dictionary<GroupKind, IReadOnlyList<RankGroup>> _groups = [];
    private readonly Dictionary<GroupKind, RankGroup[]> _groupOfRank = [];

    /// <summary>Lays the degrees over the ranks. The reduced data-parallel degree is what remains of the world size.</summary>
    /// <param name="worldSize">The number of ranks.</param>
    /// <param name="pipelineDegree">The number of pipeline stages.</param>
    /// <param name="tensorDegree">The number of slices of each tensor-parallel layer.</param>
    /// <param name="placement">The order of the axes over the ranks; <see cref="PlacementStrategy.Cluster"/> when null.</param>
    /// <exception cref="ArgumentException">A number is below 1, or the product of the degrees does not divide the world size; the message
    /// lists degrees that would work.</exception>
    public RankLayout(int worldSize, int pipelineDegree = 1, int tensorDegree = 1, PlacementStrategy? placement = null)
    {
        RankLayoutRules.Check(worldSize, pipelineDegree, tensorDegree);
        Placement = placement ?? PlacementStrategy.Cluster;
        var reducedDataDegree = worldSize / (pipelineDegree * tensorDegree);
        Mesh = new DeviceMesh([.. Placement.Axes.Select(axis => new MeshAxis(axis, axis switch
        {
            AxisName.Pipeline => pipelineDegree,
            AxisName.Tensor => tensorDegree,
            _ => reducedDataDegree,
        }))]);

        AddGroups(GroupKind.World, AxisName.Data, AxisName.Pipeline, AxisName.Tensor);
        AddGroups(GroupKind.Pipeline, AxisName.Pipeline);
        AddGroups(GroupKind.Tensor, AxisName.Tensor);
        AddGroups(GroupKind.ReducedData, AxisName.Data);
        AddGroups(GroupKind.Data, AxisName.Data, AxisName.Tensor);
        AddGroups(GroupKind.Model, AxisName.Pipeline, AxisName.Tensor);
    }

    /// <summary>The order of the axes over the ranks.</summary>
    public PlacementStrategy Placement { get; }

    /// <summary>The ranks along the axes <see cref="AxisName.Data"/>, <see cref="AxisName.Pipeline"/> and <see cref="AxisName.Tensor"/>, in
    /// the order of <see cref="Placement"/>.</summary>
    public DeviceMesh Mesh { get; }

    /// <summary>The number of ranks.</summary>
    public int WorldSize => Mesh.Size;

    /// <summary>The number of ranks in each group of a kind: all groups of a kind have the same size.</summary>
    /// <param name="kind">Which kind of group.</param>
    public int SizeOf(GroupKind kind) => _groups[kind][0].Count;

    /// <summary>All groups of a kind, in the order of their smallest rank. Each rank of the world is in exactly one.</summary>
    /// <param name="kind">Which kind of group.</param>
    public IReadOnlyList<RankGroup> Groups(GroupKind kind) => _groups[kind];

    /// <summary>The group of a kind that a rank belongs to. Its indexer turns a rank in the group into a world rank.</summary>
    /// <param name="kind">Which kind of group.</param>
    /// <param name="rank">The world rank.</param>
    /// <exception cref="ArgumentOutOfRangeException">The world has no such rank.</exception>
    public RankGroup GroupOf(GroupKind kind, int rank) => _groupOfRank[kind][CheckedRank(rank)];

    /// <summary>The rank that a world rank has in its group of a kind.</summary>
    /// <param name="kind">Which kind of group.</param>
    /// <param name="rank">The world rank.</param>
    /// <exception cref="ArgumentOutOfRangeException">The world has no such rank.</exception>
    public int RankIn(GroupKind kind, int rank) => GroupOf(kind, rank).RankOf(rank);

    /// <summary>The world rank at a place.</summary>
    /// <param name="reducedData">The rank in the reduced data-parallel group.</param>
    /// <param name="pipeline">The pipeline stage.</param>
    /// <param name="tensor">The rank in the tensor-parallel group.</param>
    /// <exception cref="ArgumentException">A coordinate lies outside its axis.</exception>
    public int RankAt(int reducedData, int pipeline, int tensor) => Mesh.RankAt([.. Placement.Axes.Select(axis => axis switch
    {
        AxisName.Pipeline => pipeline,
        AxisName.Tensor => tensor,
        _ => reducedData,
    })]);

    /// <summary>All ranks and sizes of one rank.</summary>
    /// <param name="rank">The world rank.</param>
    /// <param name="localSize">The number of ranks on each host, hosts holding consecutive ranks and the last one maybe fewer; the world
    /// size (one host) when null. Where a launcher places ranks otherwise, set <see cref="RankPosition.LocalRank"/> and
    /// <see cref="RankPosition.LocalSize"/> to what it says (<see cref="ClusterEnvironment"/>) with a <c>with</c> expression.</param>
    /// <exception cref="ArgumentOutOfRangeException">The world has no such rank, or a host cannot hold so many.</exception>
    public RankPosition PositionOf(int rank, int? localSize = null)
    {
        CheckedRank(rank);
        var perHost = localSize ?? WorldSize;
        if (perHost < 1 || perHost > WorldSize)
        {
            throw new ArgumentOutOfRangeException(
                nameof(localSize), $"A host cannot hold {perHost} of {WorldSize} ranks; give a number from 1 to {WorldSize}.");
        }

        var localRank = rank % perHost;
        return new RankPosition
        {
            Rank = rank,
            Size = WorldSize,
            LocalRank = localRank,
            LocalSize = Math.Min(perHost, WorldSize - (rank - localRank)),
            PipelineRank = RankIn(GroupKind.Pipeline, rank),
            PipelineSize = SizeOf(GroupKind.Pipeline),
            TensorRank = RankIn(GroupKind.Tensor, rank),
            TensorSize = SizeOf(GroupKind.Tensor),
            ReducedDataRank = RankIn(GroupKind.ReducedData, rank),
            ReducedDataSize = SizeOf(GroupKind.ReducedData),
            DataRank = RankIn(GroupKind.Data, rank),
            DataSize = SizeOf(GroupKind.Data),
            ModelRank = RankIn(GroupKind.Model, rank),
            ModelSize = SizeOf(GroupKind.Model),
        };
    }

    /// <summary>
    /// <see cref="Mesh"/> with the data axis split for sharded data parallelism (MiCS, Zhang et al. 2022): along
    /// <see cref="AxisName.Shard"/> neighbours in the reduced data group hold different shards of the parameters; along
    /// <see cref="AxisName.Replicate"/> ranks hold the same shard.
    /// </summary>
    /// <param name="shardedDataDegree">The number of shards; must divide the size of the reduced data group.</param>
    /// <exception cref="ArgumentException">The degree does not divide that size; the message lists those that do.</exception>
    public DeviceMesh ShardedDataMesh(int shardedDataDegree)
    {
        var size = SizeOf(GroupKind.ReducedData);
        RankLayoutRules.CheckShardedDataDegree(shardedDataDegree, size);
        return Mesh.Split(
            AxisName.Data, new MeshAxis(AxisName.Replicate, size / shardedDataDegree), new MeshAxis(AxisName.Shard, shardedDataDegree));
    }

    /// <summary>The layout in a line, such as <c>8 ranks: data 2 × pipeline 2 × tensor 2</c>.</summary>
    public override string ToString() => $"{WorldSize} ranks: {Mesh}";

    private void AddGroups(GroupKind kind, params ReadOnlySpan<string> axes)
    {
        var groups = Mesh.Groups(axes);
        var groupOfRank = new RankGroup[WorldSize];
        foreach (var group in groups)
        {
            foreach (var rank in group)
                groupOfRank[rank] = group;
        }

        _groups.Add(kind, groups);
        _groupOfRank.Add(kind, groupOfRank);
    }

    private int CheckedRank(int rank) => rank >= 0 && rank < WorldSize
        ? rank
        : throw new ArgumentOutOfRangeException(nameof(rank), $"There is no rank {rank} in a world of ranks 0 to {WorldSize - 1}.");
}
