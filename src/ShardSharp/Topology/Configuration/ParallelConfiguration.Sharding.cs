namespace ShardSharp.Topology;

public sealed partial record ParallelConfiguration
{
    /// <summary>Over how many data-parallel ranks each layer is split.</summary>
    /// <value>At least 1. Default <c>1</c>.</value>
    public int TensorParallelDegree { get; init; } = 1;

    /// <summary>
    /// Whether the ranks of a tensor-parallel group are given one batch in common, rather than one each that the group then exchanges.
    /// </summary>
    /// <value>Default <c>false</c>.</value>
    public bool PrescaledBatch { get; init; }

    /// <summary>Over how many ranks sequences are split.</summary>
    /// <value>At least 1. Default <c>1</c>.</value>
    public int ContextParallelDegree { get; init; } = 1;

    /// <summary>Over how many ranks the experts of a mixture-of-experts layer are split.</summary>
    /// <value>At least 1. Default <c>1</c>.</value>
    public int ExpertParallelDegree { get; init; } = 1;

    /// <summary>Whether the state of the optimizer is split over the ranks that hold the same parameters.</summary>
    /// <value>Default <c>false</c>.</value>
    public bool ShardOptimizerState { get; init; }

    /// <summary>Over how many ranks parameters, gradients and optimizer state are sharded (MiCS, arXiv:2205.00119).</summary>
    /// <value>At least 1; divides the number of replicas. Default <c>1</c>.</value>
    public int ShardedDataParallelDegree { get; init; } = 1;

    /// <summary>The size of the buckets in which sharded data parallelism reduces gradients, in elements.</summary>
    /// <value>At least 1. Default <c>500000000</c>.</value>
    public long ShardedReduceBucketSize { get; init; } = 500_000_000;

    /// <summary>Parameters with fewer elements than this are not sharded.</summary>
    /// <value>At least 0. Default <c>1000000</c>.</value>
    public long ShardedPersistenceThreshold { get; init; } = 1_000_000;

    /// <summary>How many parameter elements a rank may hold gathered at once.</summary>
    /// <value>At least 1. Default <c>1000000000</c>.</value>
    public long ShardedMaximumLiveParameters { get; init; } = 1_000_000_000;

    /// <summary>Whether parameters are gathered within a host first and between hosts second.</summary>
    /// <value>Default <c>true</c>.</value>
    public bool ShardedHierarchicalAllGather { get; init; } = true;

    /// <summary>What is sharded besides gradients and optimizer state.</summary>
    /// <value>Default <c>"parameters"</c>.</value>
    public ShardingLevel ShardingLevel { get; init; } = ShardingLevel.Parameters;

    /// <summary>
    /// The L2 norm to which gradients are clipped in the optimizer's step, sharded or not; null does not clip.
    /// </summary>
    /// <remarks>SMP's default is 1 and it cannot be turned off; here sharding does not change what is trained.</remarks>
    /// <value>Above 0. Default <c>null</c>.</value>
    public double? ShardedGradientClipping { get; init; }

    /// <summary>Whether ranks that hold the same parameters share out at least the state of the optimizer.</summary>
    internal bool ShardsState => ShardOptimizerState || ShardedDataParallelDegree > 1;

    /// <summary>Whether ranks that share no memory hold parameters whole only while they are used.</summary>
    internal bool ReleasesParameters => !ShardOptimizerState && ShardingLevel == ShardingLevel.Parameters;
}
