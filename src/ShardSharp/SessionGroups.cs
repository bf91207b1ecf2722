using ShardSharp.Communication;
using ShardSharp.Topology;

namespace ShardSharp;

/// <summary>The groups of ranks that this rank belongs to.</summary>
public sealed class SessionGroups : IDisposable
{
    private readonly Dictionary<GroupKind, ProcessGroup> _groups;
    private ProcessGroup? _checkpoint;

    internal SessionGroups(ProcessGroup world, RankLayout layout, ParallelConfiguration configuration, CallSite site)
    {
        _groups = new Dictionary<GroupKind, ProcessGroup> { [GroupKind.World] = world };
        foreach (var kind in Enum.GetValues<GroupKind>().Where(kind => kind != GroupKind.World))
            _groups[kind] = world.Split(NameOf(kind), layout.Groups(kind), site.File, site.Line);
        var degree = configuration.ShardOptimizerState ? ReducedData.Size : configuration.ShardedDataParallelDegree;
        var mesh = layout.ShardedDataMesh(degree);
        Shard = degree == ReducedData.Size ? ReducedData : world.Split("shard", mesh.Groups(AxisName.Shard), site.File, site.Line);
        Replicate = degree == 1 ? ReducedData : world.Split("replicate", mesh.Groups(AxisName.Replicate), site.File, site.Line);
    }

    /// <summary>All ranks (SMP: <c>WORLD</c>).</summary>
    public ProcessGroup World => this[GroupKind.World];

    /// <summary>Ranks of the same pipeline stage, which see different samples (SMP: <c>DP_GROUP</c>).</summary>
    public ProcessGroup Data => this[GroupKind.Data];

    /// <summary>Ranks that hold the same parameters (SMP: <c>RDP_GROUP</c>).</summary>
    public ProcessGroup ReducedData => this[GroupKind.ReducedData];

    /// <summary>The stages of one pipeline (SMP: <c>PP_GROUP</c>).</summary>
    public ProcessGroup Pipeline => this[GroupKind.Pipeline];

    /// <summary>Ranks that share the layers of one stage (SMP: <c>TP_GROUP</c>).</summary>
    public ProcessGroup Tensor => this[GroupKind.Tensor];

    /// <summary>Ranks that together hold one copy of the model (SMP: <c>MP_GROUP</c>).</summary>
    public ProcessGroup Model => this[GroupKind.Model];

    /// <summary>Ranks that share one copy of the parameters, neighbours in <see cref="ReducedData"/>; this rank alone if nothing is sharded.</summary>
    public ProcessGroup Shard { get; }

    /// <summary>Ranks that hold the same shard of different copies of the parameters.</summary>
    public ProcessGroup Replicate { get; }

    /// <summary>All ranks, for checkpoints that are written in the background; every rank asks for it the first time together.</summary>
    internal ProcessGroup Checkpoint =>
        _checkpoint ??= World.Split("checkpoint", [[.. Enumerable.Range(0, World.Size)]], nameof(Checkpoint), 0);

    /// <summary>This rank's group of a kind.</summary>
    /// <param name="kind">Which group.</param>
    public ProcessGroup this[GroupKind kind] => _groups[kind];

    /// <summary>Leaves all groups, the world last.</summary>
    public void Dispose()
    {
        _checkpoint?.Dispose();
        foreach (var group in _groups.Values.Append(Shard).Append(Replicate).Distinct())
        {
            if (group != World)
                group.Dispose();
        }

        World.Dispose();
    }

    private static string NameOf(GroupKind kind) => kind == GroupKind.ReducedData ? "reduced data" : kind.ToString().ToLowerInvariant();
}
