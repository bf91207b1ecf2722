using ShardSharp.Topology;

namespace ShardSharp.Tests.Topology.Configuration;

public sealed class ConfigurationKeysTests
{
    // Every key of SMP 1.x that its documentation, SDK, logs or examples show, and of SMP 2.x.
    public static TheoryData<string> SmpKeys { get; } =
    [
        "partitions", "pipeline_parallel_degree", "microbatches", "pipeline", "optimize", "placement_strategy", "auto_partition",
        "default_partition", "load_partition", "partition_file", "contiguous", "horovod", "memory_weight", "ddp", "ddp_port",
        "ddp_dist_backend", "active_microbatches", "deterministic_server", "tensor_parallel_degree", "prescaled_batch", "fp16_params",
        "shard_optimizer_state", "offload_activations", "activation_loading_horizon", "skip_tracing", "fp16", "bf16",
        "sharded_data_parallel_degree", "sdp_reduce_bucket_size", "sdp_param_persistence_threshold", "sdp_max_live_parameters",
        "sdp_hierarchical_allgather", "sdp_gradient_clipping", "tensor_parallel_seed", "delayed_parameter_initialization", "static_mode",
        "fast_mode", "checkpoint_attentions", "_match_weights", "_fp32_grad_accumulation", "overlapping_allreduce",
        "hybrid_shard_degree", "sm_activation_offloading", "fsdp_cache_flush_warnings", "allow_empty_shards", "context_parallel_degree",
        "expert_parallel_degree", "random_seed",
    ];

    // One of these is a value other than the default of every key.
    private static readonly string[] Texts = ["group_2", "2", "true", "false", "simple", "speed", "threads", "spread", "nccl", "0.5", "gradients", "float16", "a=1"];

    [Theory]
    [MemberData(nameof(SmpKeys))]
    public void Knows_every_key_of_SMP(string name) =>
        Assert.True(ConfigurationKeys.Find(name) is not null ^ ForeignKey.Find(name) is not null);

    [Fact]
    public void Every_property_is_one_key()
    {
        var properties = typeof(ParallelConfiguration).GetProperties().Where(p => p.CanWrite).Select(p => p.Name);

        Assert.Equal(properties.Order(), ConfigurationKeys.All.Select(key => key.Property).Order());
    }

    [Fact]
    public void Each_key_reads_and_writes_its_own_property()
    {
        foreach (var key in ConfigurationKeys.All)
        {
            var property = typeof(ParallelConfiguration).GetProperty(key.Property)!;
            var other = Texts
                .Select(RawValue.FromText)
                .First(raw => key.TryAssign(ParallelConfiguration.Default, raw, out var set) && !key.IsDefault(set));
            key.TryAssign(ParallelConfiguration.Default, other, out var changed);

            Assert.NotEqual(property.GetValue(ParallelConfiguration.Default), property.GetValue(changed));
            property.SetValue(changed, property.GetValue(ParallelConfiguration.Default));
            Assert.Equal(ParallelConfiguration.Default, changed);
        }
    }

    [Fact]
    public void Defaults_are_valid() => Assert.Equal(
        new ParallelConfiguration(), ParallelConfiguration.Load([], Loading.NoVariables, new ParallelConfiguration()).Configuration);

    [Fact]
    public void Every_property_documents_its_default() => Assert.All(ConfigurationKeys.All, key =>
        Assert.Contains($"Default {key.DefaultJson}", XmlDocumentation.Of(key.Property, "value"), StringComparison.Ordinal));
}
