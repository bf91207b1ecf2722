using static ShardSharp.Topology.Feature;

namespace ShardSharp.Topology;

/// <summary>
/// Every key of the configuration, once. Reading, validation, printing, the JSON schema and the tables of the documentation follow from it.
/// </summary>
internal static class ConfigurationKeys
{
    public const string Page = "docs/configuration.md";
    public const string VariablePrefix = "SHARDSHARP_";
    public const int MaximumRanks = 1024;

    // .NET timers count milliseconds in 32 bits: 24 days.
    private const int LongestWait = 2_000_000;

    private static readonly BooleanSyntax Boolean = new();
    private static readonly IntegerSyntax<int> Count = new(1, int.MaxValue);
    private static readonly IntegerSyntax<int> Index = new(0, int.MaxValue);
    private static readonly IntegerSyntax<long> Elements = new(1, long.MaxValue);
    private static readonly SecondsSyntax Wait = new(0.1, LongestWait);

    private static readonly ChoiceSyntax<CommunicationBackend> Backends = new(
        ("shared-memory", CommunicationBackend.SharedMemory),
        ("threads", CommunicationBackend.Threads),
        ("mpi", CommunicationBackend.Mpi),
        ("nccl", CommunicationBackend.Nccl));

    private static readonly ChoiceSyntax<DataParallelBackend> DataParallelBackends =
        new(("auto", DataParallelBackend.Auto), ("nccl", DataParallelBackend.Nccl));

    private static readonly ChoiceSyntax<PipelineScheduleKind> Schedules =
        new([.. PipelineScheduleName.All.Where(named => named.Kind != PipelineScheduleKind.ForwardOnly)]);

    private static readonly ChoiceSyntax<OptimizationGoal> Goals =
        new(("memory", OptimizationGoal.Memory), ("speed", OptimizationGoal.Speed));

    private static readonly ChoiceSyntax<ShardingLevel> Levels =
        new(("gradients", ShardingLevel.Gradients), ("parameters", ShardingLevel.Parameters));

    private static readonly ChoiceSyntax<FloatingPointType> Types = new(
        ("float32", FloatingPointType.Float32), ("float16", FloatingPointType.Float16), ("bfloat16", FloatingPointType.BFloat16));

    /// <summary>Every key, in the order they are documented and printed.</summary>
    public static IReadOnlyList<ConfigurationKey> All { get; } =
    [
        new ConfigurationKey<int>(
            "ranks", new IntegerSyntax<int>(1, MaximumRanks), c => c.Ranks, (c, v) => c with { Ranks = v }),
        new ConfigurationKey<CommunicationBackend>("backend", Backends, c => c.Backend, (c, v) => c with { Backend = v })
        {
            FeatureOf = backend => backend switch
            {
                CommunicationBackend.Mpi => MpiBackend,
                CommunicationBackend.Nccl => NcclBackend,
                _ => null,
            },
        },
        new ConfigurationKey<int?>(
            "threads_per_rank", new OptionalSyntax<int>(new IntegerSyntax<int>(1, 1024)), c => c.ThreadsPerRank,
            (c, v) => c with { ThreadsPerRank = v }),
        new ConfigurationKey<int>("seed", Index, c => c.Seed, (c, v) => c with { Seed = v }) { Aliases = ["random_seed"] },
        new ConfigurationKey<TimeSpan>(
            "collective_timeout_seconds", Wait, c => c.CollectiveTimeout, (c, v) => c with { CollectiveTimeout = v }),
        new ConfigurationKey<TimeSpan>(
            "rendezvous_timeout_seconds", Wait, c => c.RendezvousTimeout, (c, v) => c with { RendezvousTimeout = v }),
        new ConfigurationKey<int>("max_restarts", Index, c => c.MaximumRestarts, (c, v) => c with { MaximumRestarts = v }),
        new ConfigurationKey<string?>(
            "flight_recorder_file", new PathSyntax(), c => c.FlightRecorderFile, (c, v) => c with { FlightRecorderFile = v }),
        new ConfigurationKey<bool>("memory_report", Boolean, c => c.MemoryReport, (c, v) => c with { MemoryReport = v }),
        new ConfigurationKey<string>(
            "placement_strategy", new PlacementSyntax(), c => c.PlacementStrategy, (c, v) => c with { PlacementStrategy = v }),
        new ConfigurationKey<bool>(
            "delayed_parameter_initialization", Boolean, c => c.DelayedParameterInitialization,
            (c, v) => c with { DelayedParameterInitialization = v }, DelayedInitialization),
        new ConfigurationKey<string?>(
            "delayed_initialization_folder", new PathSyntax(), c => c.DelayedInitializationFolder,
            (c, v) => c with { DelayedInitializationFolder = v }, DelayedInitialization),

        new ConfigurationKey<bool>("ddp", Boolean, c => c.DataParallel, (c, v) => c with { DataParallel = v }),
        new ConfigurationKey<int?>(
            "ddp_port", new OptionalSyntax<int>(new IntegerSyntax<int>(0, ushort.MaxValue)), c => c.DataParallelPort,
            (c, v) => c with { DataParallelPort = v }, NetworkRendezvous),
        new ConfigurationKey<DataParallelBackend>(
            "ddp_dist_backend", DataParallelBackends, c => c.DataParallelBackend, (c, v) => c with { DataParallelBackend = v },
            NcclBackend),
        new ConfigurationKey<double>(
            "bucket_cap_mb", new NumberSyntax(0.001, 65536), c => c.BucketCapacityMegabytes,
            (c, v) => c with { BucketCapacityMegabytes = v }),
        new ConfigurationKey<bool>(
            "overlapping_allreduce", Boolean, c => c.OverlappingAllReduce, (c, v) => c with { OverlappingAllReduce = v }),
        new ConfigurationKey<bool>("broadcast_buffers", Boolean, c => c.BroadcastBuffers, (c, v) => c with { BroadcastBuffers = v }),
        new ConfigurationKey<int>(
            "backward_passes_per_step", Count, c => c.BackwardPassesPerStep, (c, v) => c with { BackwardPassesPerStep = v }),
        new ConfigurationKey<bool>(
            "average_grads_across_microbatches", Boolean, c => c.AverageGradientsAcrossMicrobatches,
            (c, v) => c with { AverageGradientsAcrossMicrobatches = v }),

        new ConfigurationKey<int>("microbatches", Count, c => c.Microbatches, (c, v) => c with { Microbatches = v }),
        new ConfigurationKey<int>(
            "pipeline_parallel_degree", Count, c => c.PipelineParallelDegree, (c, v) => c with { PipelineParallelDegree = v },
            PipelineParallelism) { Aliases = ["partitions"] },
        new ConfigurationKey<PipelineScheduleKind>(
            "pipeline", Schedules, c => c.Pipeline, (c, v) => c with { Pipeline = v }, PipelineParallelism),
        new ConfigurationKey<string?>(
            "pipeline_schedule_file", new PathSyntax(), c => c.PipelineScheduleFile, (c, v) => c with { PipelineScheduleFile = v },
            PipelineParallelism),
        new ConfigurationKey<int?>(
            "active_microbatches", new OptionalSyntax<int>(Count), c => c.ActiveMicrobatches, (c, v) => c with { ActiveMicrobatches = v },
            PipelineParallelism),
        new ConfigurationKey<bool>(
            "auto_partition", Boolean, c => c.AutoPartition, (c, v) => c with { AutoPartition = v }, PipelineParallelism),
        new ConfigurationKey<int?>(
            "default_partition", new OptionalSyntax<int>(Index), c => c.DefaultPartition, (c, v) => c with { DefaultPartition = v },
            PipelineParallelism)
        {
            // The first stage exists without a pipeline too.
            FeatureOf = partition => partition > 0 ? PipelineParallelism : null,
        },
        new ConfigurationKey<double?>(
            "memory_weight", new OptionalSyntax<double>(new NumberSyntax(0, 1)), c => c.MemoryWeight, (c, v) => c with { MemoryWeight = v },
            PipelineParallelism),
        new ConfigurationKey<OptimizationGoal>(
            "optimize", Goals, c => c.Optimize, (c, v) => c with { Optimize = v }, TensorParallelism),
        new ConfigurationKey<bool>(
            "skip_tracing", Boolean, c => c.SkipTracing, (c, v) => c with { SkipTracing = v }, PipelineParallelism),
        new ConfigurationKey<bool>(
            "split_tied_parameters", Boolean, c => c.SplitTiedParameters, (c, v) => c with { SplitTiedParameters = v }, PipelineParallelism),
        new ConfigurationKey<double?>(
            "stage_memory_limit_mb", new OptionalSyntax<double>(new NumberSyntax(0.001, 1e9)), c => c.StageMemoryLimitMegabytes,
            (c, v) => c with { StageMemoryLimitMegabytes = v }, PipelineParallelism),
        new ConfigurationKey<string?>(
            "partition_patterns", new PatternSyntax(), c => c.PartitionPatterns, (c, v) => c with { PartitionPatterns = v }, PipelineParallelism),
        new ConfigurationKey<string?>(
            "pipeline_partition_file", new PathSyntax(), c => c.PipelinePartitionFile, (c, v) => c with { PipelinePartitionFile = v },
            PipelineParallelism),

        new ConfigurationKey<int>(
            "tensor_parallel_degree", Count, c => c.TensorParallelDegree, (c, v) => c with { TensorParallelDegree = v },
            TensorParallelism),
        new ConfigurationKey<bool>(
            "prescaled_batch", Boolean, c => c.PrescaledBatch, (c, v) => c with { PrescaledBatch = v }, TensorParallelism),
        new ConfigurationKey<int>(
            "context_parallel_degree", Count, c => c.ContextParallelDegree, (c, v) => c with { ContextParallelDegree = v },
            ContextParallelism),
        new ConfigurationKey<int>(
            "expert_parallel_degree", Count, c => c.ExpertParallelDegree, (c, v) => c with { ExpertParallelDegree = v },
            ExpertParallelism),

        new ConfigurationKey<bool>(
            "shard_optimizer_state", Boolean, c => c.ShardOptimizerState, (c, v) => c with { ShardOptimizerState = v },
            OptimizerStateSharding),
        new ConfigurationKey<int>(
            "sharded_data_parallel_degree", Count, c => c.ShardedDataParallelDegree, (c, v) => c with { ShardedDataParallelDegree = v },
            ShardedDataParallelism) { Aliases = ["hybrid_shard_degree"] },
        new ConfigurationKey<long>(
            "sdp_reduce_bucket_size", Elements, c => c.ShardedReduceBucketSize, (c, v) => c with { ShardedReduceBucketSize = v },
            ShardedDataParallelism),
        new ConfigurationKey<long>(
            "sdp_param_persistence_threshold", new IntegerSyntax<long>(0, long.MaxValue), c => c.ShardedPersistenceThreshold,
            (c, v) => c with { ShardedPersistenceThreshold = v }, ShardedDataParallelism),
        new ConfigurationKey<long>(
            "sdp_max_live_parameters", Elements, c => c.ShardedMaximumLiveParameters,
            (c, v) => c with { ShardedMaximumLiveParameters = v }, ShardedDataParallelism),
        new ConfigurationKey<bool>(
            "sdp_hierarchical_allgather", Boolean, c => c.ShardedHierarchicalAllGather,
            (c, v) => c with { ShardedHierarchicalAllGather = v }, ShardedDataParallelism),
        new ConfigurationKey<ShardingLevel>(
            "sdp_sharding_level", Levels, c => c.ShardingLevel, (c, v) => c with { ShardingLevel = v }, ShardedDataParallelism),
        new ConfigurationKey<double?>(
            "sdp_gradient_clipping", new OptionalSyntax<double>(new NumberSyntax(1e-6, 1e9)), c => c.ShardedGradientClipping,
            (c, v) => c with { ShardedGradientClipping = v }, GradientClipping),

        new ConfigurationKey<string?>(
            "activation_checkpointing", new NamesSyntax(), c => c.ActivationCheckpointing, (c, v) => c with { ActivationCheckpointing = v }),
        new ConfigurationKey<string>(
            "activation_checkpointing_strategy", new GroupingSyntax(), c => c.ActivationCheckpointingStrategy,
            (c, v) => c with { ActivationCheckpointingStrategy = v }),
        new ConfigurationKey<string?>(
            "activation_checkpointing_kept", new NamesSyntax(), c => c.ActivationCheckpointingKept,
            (c, v) => c with { ActivationCheckpointingKept = v }),
        new ConfigurationKey<double?>(
            "activation_memory_budget_mb", new OptionalSyntax<double>(new NumberSyntax(0.001, 1e9)), c => c.ActivationMemoryBudgetMegabytes,
            (c, v) => c with { ActivationMemoryBudgetMegabytes = v }),
        new ConfigurationKey<bool>(
            "offload_activations", Boolean, c => c.OffloadActivations, (c, v) => c with { OffloadActivations = v }, ActivationOffloading),
        new ConfigurationKey<int>(
            "activation_loading_horizon", Count, c => c.ActivationLoadingHorizon, (c, v) => c with { ActivationLoadingHorizon = v },
            ActivationOffloading),
        new ConfigurationKey<string?>(
            "activation_offloading_folder", new PathSyntax(), c => c.ActivationOffloadingFolder,
            (c, v) => c with { ActivationOffloadingFolder = v }, ActivationOffloading),
        new ConfigurationKey<bool>("fp16", Boolean, c => c.Float16, (c, v) => c with { Float16 = v }, Float16Training),
        new ConfigurationKey<bool>(
            "fp16_params", Boolean, c => c.Float16Parameters, (c, v) => c with { Float16Parameters = v }, Float16Layers),
        new ConfigurationKey<bool>("bf16", Boolean, c => c.BFloat16, (c, v) => c with { BFloat16 = v }, BFloat16Training),
        new ConfigurationKey<FloatingPointType>("reduce_dtype", Types, c => c.ReduceType, (c, v) => c with { ReduceType = v }),
        new ConfigurationKey<FloatingPointType?>(
            "buffer_dtype", new OptionalSyntax<FloatingPointType>(Types), c => c.BufferType, (c, v) => c with { BufferType = v }),
        new ConfigurationKey<FloatingPointType>("output_dtype", Types, c => c.OutputType, (c, v) => c with { OutputType = v }),
    ];

    private static readonly Dictionary<string, ConfigurationKey> ByName = All
        .SelectMany(key => key.Aliases.Prepend(key.Name).Select(name => (Name: name, Key: key)))
        .ToDictionary(pair => pair.Name, pair => pair.Key, StringComparer.Ordinal);

    /// <summary>The names keys may be given under: their own and their aliases.</summary>
    public static IEnumerable<string> Names => ByName.Keys;

    /// <summary>The key of that name or alias; null when there is none.</summary>
    public static ConfigurationKey? Find(string name) => ByName.GetValueOrDefault(name);
}
