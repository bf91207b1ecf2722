namespace ShardSharp.Topology;

/// <summary>A rule between keys.</summary>
/// <param name="Key">The key that gives way.</param>
/// <param name="Broken">The rule, in words that follow "key = value", when it is broken; null when it holds.</param>
/// <param name="Repaired">The configuration with a value of the key that keeps the rule.</param>
internal sealed record ConfigurationRule(
    string Key, Func<RankedConfiguration, string?> Broken, Func<RankedConfiguration, ParallelConfiguration> Repaired);

/// <summary>The rules between keys, in an order in which repairing one never breaks one before it.</summary>
internal static class ConfigurationRules
{
    private const string WithoutMixedPrecision = "with neither bf16 nor fp16 = true";

    /// <summary>Every rule.</summary>
    public static IReadOnlyList<ConfigurationRule> All { get; } =
    [
        new("fp16",
            c => c.Values is { Float16: true, BFloat16: true } ? "must be false with bf16 = true" : null,
            c => c.Values with { Float16 = false }),
        new("ddp_dist_backend",
            c => c.Values is { DataParallelBackend: DataParallelBackend.Nccl, Backend: CommunicationBackend.Threads }
                ? "must be auto with backend = threads: NCCL needs a process for each GPU" : null,
            c => c.Values with { DataParallelBackend = DataParallelBackend.Auto }),
        new("reduce_dtype",
            c => c.Values is { ReduceType: not FloatingPointType.Float32, IsMixedPrecision: false } ? $"must be float32 {WithoutMixedPrecision}" : null,
            c => c.Values with { ReduceType = FloatingPointType.Float32 }),
        new("buffer_dtype",
            c => c.Values is { BufferType: not null, IsMixedPrecision: false } ? $"must be null {WithoutMixedPrecision}" : null,
            c => c.Values with { BufferType = null }),
        new("output_dtype",
            c => c.Values is { OutputType: not FloatingPointType.Float32, IsMixedPrecision: false } ? $"must be float32 {WithoutMixedPrecision}" : null,
            c => c.Values with { OutputType = FloatingPointType.Float32 }),
        new("pipeline_parallel_degree",
            c => c.Sharded > 1 && c.Pipeline > 1 ? $"must be 1 with sharded_data_parallel_degree = {c.Sharded}" : null,
            c => c.Values with { PipelineParallelDegree = 1 }),
        new("shard_optimizer_state",
            c => c.Sharded > 1 && c.Values.ShardOptimizerState
                ? $"must be false with sharded_data_parallel_degree = {c.Sharded}, which shards it already" : null,
            c => c.Values with { ShardOptimizerState = false }),
        new("prescaled_batch",
            c => c.Sharded > 1 && c.Tensor > 1 && !c.Values.PrescaledBatch
                ? $"must be true with sharded_data_parallel_degree = {c.Sharded} and tensor_parallel_degree = {c.Tensor}" : null,
            c => c.Values with { PrescaledBatch = true }),
        new("expert_parallel_degree",
            c => c.Expert > 1 && c.Tensor > 1 ? $"must be 1 with tensor_parallel_degree = {c.Tensor}" : null,
            c => c.Values with { ExpertParallelDegree = 1 }),

        // Ranks to start here follow the degrees; ranks another launcher started do not, nor do more than one machine starts.
        new("ranks",
            c => c.CanChooseRanks && c.Ranks % c.RanksUnit != 0 ? $"must be a multiple of {c.RanksUnit}: {c.RanksUnitInWords}" : null,
            c => c.Values with { Ranks = c.NearestRanks }),
        new("pipeline_parallel_degree",
            c => c.Ranks % c.Pipeline != 0 ? $"must divide the number of ranks, {c.Ranks}" : null,
            c => c.Values with { PipelineParallelDegree = LargestDivisor(c.Ranks, c.Pipeline) }),
        new("tensor_parallel_degree",
            c => c.DataRanks % c.Tensor != 0 ? $"must divide the number of data-parallel ranks, {c.DataRanks}" : null,
            c => c.Values with { TensorParallelDegree = LargestDivisor(c.DataRanks, c.Tensor) }),
        new("sharded_data_parallel_degree",
            c => c.Replicas % c.Sharded != 0 ? $"must divide the number of replicas of the model, {c.Replicas}" : null,
            c => c.Values with { ShardedDataParallelDegree = LargestDivisor(c.Replicas, c.Sharded) }),
        new("context_parallel_degree",
            c => c.Replicas % c.Context != 0 ? $"must divide the number of replicas of the model, {c.Replicas}" : null,
            c => c.Values with { ContextParallelDegree = LargestDivisor(c.Replicas, c.Context) }),
        new("expert_parallel_degree",
            c => c.Replicas % c.Expert != 0 ? $"must divide the number of replicas of the model, {c.Replicas}" : null,
            c => c.Values with { ExpertParallelDegree = LargestDivisor(c.Replicas, c.Expert) }),

        new("default_partition",
            c => !c.Values.AutoPartition && c.Values.DefaultPartition is null ? "must be given with auto_partition = false" : null,
            c => c.Values with { DefaultPartition = 0 }),
        new("default_partition",
            c => c.Values.DefaultPartition >= c.Pipeline ? $"must be less than pipeline_parallel_degree = {c.Pipeline}" : null,
            c => c.Values with { DefaultPartition = c.Pipeline - 1 }),
        new("partition_patterns",
            c => c.Values is { AutoPartition: true, PartitionPatterns: not null } ? "must be null with auto_partition = true" : null,
            c => c.Values with { PartitionPatterns = null }),
        new("activation_checkpointing_kept",
            c => c.Values is { ActivationCheckpointingKept: not null, ActivationCheckpointingStrategy: not GroupingSyntax.Selective }
                ? "must be null with activation_checkpointing_strategy other than selective, which keeps what it names" : null,
            c => c.Values with { ActivationCheckpointingKept = null }),
        new("activation_memory_budget_mb",
            c => c.Values is { ActivationMemoryBudgetMegabytes: not null, ActivationCheckpointing: null }
                ? "must be null without activation_checkpointing, which names the modules to choose from" : null,
            c => c.Values with { ActivationMemoryBudgetMegabytes = null }),
        new("activation_memory_budget_mb",
            c => c.Values is { ActivationMemoryBudgetMegabytes: not null, ActivationCheckpointingStrategy: not GroupingSyntax.Each }
                ? "must be null with activation_checkpointing_strategy other than each: the budget decides for each module" : null,
            c => c.Values with { ActivationMemoryBudgetMegabytes = null }),
        new("microbatches",
            c => c.Values is { OffloadActivations: true, Microbatches: 1 } && c.Pipeline > 1
                ? $"must be at least 2 with offload_activations = true and pipeline_parallel_degree = {c.Pipeline}" : null,
            c => c.Values with { Microbatches = 2 }),
        new("active_microbatches",
            c => c.Values is { OffloadActivations: true, ActiveMicrobatches: 1 } && c.Pipeline > 1
                ? $"must be at least 2 with offload_activations = true and pipeline_parallel_degree = {c.Pipeline}" : null,
            c => c.Values with { ActiveMicrobatches = 2 }),
        new("ddp",
            c => !c.Values.DataParallel && NeedOfDataParallelism(c) is { } need ? $"must be true with {need}" : null,
            c => c.Values with { DataParallel = true }),
    ];

    private static string? NeedOfDataParallelism(RankedConfiguration c) => c switch
    {
        { Tensor: > 1 } => $"tensor_parallel_degree = {c.Tensor}",
        { Sharded: > 1 } => $"sharded_data_parallel_degree = {c.Sharded}",
        { Context: > 1 } => $"context_parallel_degree = {c.Context}",
        { Expert: > 1 } => $"expert_parallel_degree = {c.Expert}",
        { Values.DataParallelPort: { } port } => $"ddp_port = {port}",
        { Values.DataParallelBackend: not DataParallelBackend.Auto } => "ddp_dist_backend given",
        { DataRanks: > 1 } => $"{c.DataRanks} replicas of the model, which would train apart",
        _ => null,
    };

    private static int LargestDivisor(int number, int atMost)
    {
        var divisor = Math.Min(number, atMost);
        while (number % divisor != 0)
            divisor--;
        return divisor;
    }
}
