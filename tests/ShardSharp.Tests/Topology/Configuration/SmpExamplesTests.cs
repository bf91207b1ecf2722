namespace ShardSharp.Tests.Topology.Configuration;

// Configurations AWS publishes: best practices pages, example notebooks, launch scripts.
public sealed class SmpExamplesTests
{
    [Theory]
    [InlineData( // GPT-2 10B, 16 nodes of 8 GPUs.
        """
        {"ddp": true, "tensor_parallel_degree": 4, "pipeline_parallel_degree": 1, "shard_optimizer_state": true, "prescaled_batch": true}
        """, 128)]
    [InlineData( // GPT-2 60B, 32 nodes.
        """
        {"ddp": true, "partitions": 2, "tensor_parallel_degree": 8, "microbatches": 4, "active_microbatches": 2,
         "shard_optimizer_state": true, "prescaled_batch": true, "auto_partition": true, "default_partition": 0, "optimize": "speed",
         "placement_strategy": "cluster", "skip_tracing": true, "fp16": true, "static_mode": false, "fast_mode": false}
        """, 256)]
    [InlineData( // GPT-NeoX-20B, 2 nodes.
        """
        {"ddp": true, "sharded_data_parallel_degree": 16, "bf16": true, "skip_tracing": true, "delayed_parameter_initialization": true,
         "ddp_dist_backend": "auto", "sdp_reduce_bucket_size": 5e8, "sdp_param_persistence_threshold": 1e6,
         "sdp_max_live_parameters": 1e9, "sdp_hierarchical_allgather": true, "sdp_gradient_clipping": 1.0}
        """, 16)]
    [InlineData( // GPT-NeoX-65B, 64 nodes.
        """
        {"ddp": true, "sharded_data_parallel_degree": 16, "tensor_parallel_degree": 8, "prescaled_batch": true, "offload_activations": true,
         "activation_loading_horizon": 4, "bf16": true}
        """, 512)]
    [InlineData( // GPT-J-6B, 1 node.
        """
        {"ddp": true, "tensor_parallel_degree": 2, "sharded_data_parallel_degree": 4, "prescaled_batch": true, "optimize": "speed",
         "bf16": true, "microbatches": 1, "partitions": 1}
        """, 8)]
    [InlineData("""{"ddp":true,"microbatches":4,"partitions":2,"pipeline":"interleaved"}""", 8)]
    [InlineData( // What SMP 1.9 prints at init.
        """
        {"pipeline_parallel_degree": 1, "microbatches": 1, "pipeline": "interleaved", "horovod": false, "ddp": true,
         "tensor_parallel_degree": 8, "ddp_port": null, "ddp_dist_backend": "nccl", "contiguous": false, "placement_strategy": "cluster",
         "optimize": "speed", "default_partition": 0, "auto_partition": true, "prescaled_batch": true, "memory_weight": 0.8,
         "active_microbatches": 1, "fp16_params": false, "tensor_parallel_seed": 0, "offload_activations": false,
         "shard_optimizer_state": true, "skip_tracing": false, "activation_loading_horizon": 4}
        """, 8)]
    [InlineData( // SMP 2: Llama 2 175B, 64 nodes.
        """{"hybrid_shard_degree": 128, "tensor_parallel_degree": 4, "prescaled_batch": true, "random_seed": 12345}""", 512)]
    public void Published_configurations_are_valid(string json, int worldSize)
    {
        Assert.NotNull(Loading.Everything.Parse(json, worldSize));
        Assert.NotNull(Loading.Everything.Load([], Loading.Variables(("SM_HP_MP_PARAMETERS", json)), null, worldSize));
    }
}
