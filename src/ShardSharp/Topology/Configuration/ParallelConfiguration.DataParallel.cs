namespace ShardSharp.Topology;

public sealed partial record ParallelConfiguration
{
    /// <summary>Whether replicas of the model average their gradients; false is for a single replica.</summary>
    /// <remarks>SMP's default is false and lets replicas drift apart.</remarks>
    /// <value>Default <c>true</c>.</value>
    public bool DataParallel { get; init; } = true;

    /// <summary>The network port at which data-parallel ranks meet; null leaves it to the launcher.</summary>
    /// <value>0 to 65535. Default <c>null</c>.</value>
    public int? DataParallelPort { get; init; }

    /// <summary>
    /// What carries data-parallel collectives; auto is the backend of the session. nccl gives each rank a GPU, whose memory NCCL carries in
    /// all groups, beside a backend of processes.
    /// </summary>
    /// <value>Default <c>"auto"</c>.</value>
    public DataParallelBackend DataParallelBackend { get; init; } = DataParallelBackend.Auto;

    /// <summary>The size of the buckets in which gradients are reduced while the backward pass runs, in MiB.</summary>
    /// <value>0.001 to 65536. Default <c>25</c>.</value>
    public double BucketCapacityMegabytes { get; init; } = 25;

    /// <summary>Whether gradients are reduced while the backward pass still runs, rather than after it.</summary>
    /// <value>Default <c>true</c>.</value>
    public bool OverlappingAllReduce { get; init; } = true;

    /// <summary>Whether all data-parallel ranks take over the first one's buffers (such as running statistics) when gradients are averaged.</summary>
    /// <value>Default <c>true</c>.</value>
    public bool BroadcastBuffers { get; init; } = true;

    /// <summary>How many steps accumulate gradients before they are reduced and the optimizer runs.</summary>
    /// <value>At least 1. Default <c>1</c>.</value>
    public int BackwardPassesPerStep { get; init; } = 1;

    /// <summary>Whether gradients are averaged over the microbatches of a step, rather than summed.</summary>
    /// <value>Default <c>true</c>.</value>
    public bool AverageGradientsAcrossMicrobatches { get; init; } = true;
}
