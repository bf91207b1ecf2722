using ShardSharp.Topology;

namespace ShardSharp.Tests.Topology.Configuration;

public sealed class ConfigurationFeaturesTests
{
    private static readonly ConfigurationLoader Nothing = new(_ => false);

    [Theory]
    [InlineData("pipeline_parallel_degree", "2", "1")]
    [InlineData("partitions", "2", "1")]
    [InlineData("pipeline", "\"simple\"", "\"interleaved\"")]
    [InlineData("pipeline_schedule_file", "\"s.csv\"", "null")]
    [InlineData("active_microbatches", "2", "null")]
    [InlineData("auto_partition", "false", "true")]
    [InlineData("default_partition", "1", "null")]
    [InlineData("memory_weight", "0.5", "null")]
    [InlineData("skip_tracing", "true", "false")]
    [InlineData("split_tied_parameters", "true", "false")]
    [InlineData("stage_memory_limit_mb", "0.5", "null")]
    [InlineData("pipeline_partition_file", "\"p.json\"", "null")]
    [InlineData("optimize", "\"speed\"", "\"memory\"")]
    [InlineData("tensor_parallel_degree", "2", "1")]
    [InlineData("prescaled_batch", "true", "false")]
    [InlineData("context_parallel_degree", "2", "1")]
    [InlineData("expert_parallel_degree", "2", "1")]
    [InlineData("offload_activations", "true", "false")]
    [InlineData("activation_loading_horizon", "2", "4")]
    [InlineData("fp16_params", "true", "false")]
    [InlineData("delayed_parameter_initialization", "true", "false")]
    [InlineData("ddp_port", "29500", "null")]
    [InlineData("ddp_dist_backend", "\"nccl\"", "\"auto\"")]
    [InlineData("backend", "\"mpi\"", "\"shared-memory\"")]
    [InlineData("backend", "\"nccl\"", "\"shared-memory\"")]
    public void Rejects_what_asks_for_a_feature_that_has_not_landed(string key, string value, string works)
    {
        var violation =
            Assert.Single(Loading.Violations(() => Nothing.Parse($$"""{"{{key}}": {{value}}}""")));

        Assert.Equal((key, value), (violation.Key, violation.Value));
        Assert.StartsWith("is not supported yet: it asks for ", violation.Rule, StringComparison.Ordinal);
        Assert.Equal(works, violation.Suggestion.Value);
    }

    [Fact]
    public void Accepts_every_default_while_nothing_has_landed()
    {
        var defaults = new ParallelConfiguration().ToJson();

        Assert.Equal(new ParallelConfiguration(), Nothing.Parse(defaults).Configuration);
    }

    [Fact]
    public void Replicated_data_parallelism_has_landed()
    {
        var configuration = ParallelConfiguration.FromJson(
            """
            {
              "ranks": 4, "backend": "threads", "threads_per_rank": 1, "seed": 7, "ddp": true, "microbatches": 4,
              "placement_strategy": "spread", "bucket_cap_mb": 1.5, "overlapping_allreduce": false, "broadcast_buffers": false,
              "backward_passes_per_step": 2, "average_grads_across_microbatches": false,
              "collective_timeout_seconds": 1.5, "rendezvous_timeout_seconds": 5,
            }
            """);

        var expected = new ParallelConfiguration
        {
            Ranks = 4,
            Backend = CommunicationBackend.Threads,
            ThreadsPerRank = 1,
            Seed = 7,
            Microbatches = 4,
            PlacementStrategy = "spread",
            BucketCapacityMegabytes = 1.5,
            OverlappingAllReduce = false,
            BroadcastBuffers = false,
            BackwardPassesPerStep = 2,
            AverageGradientsAcrossMicrobatches = false,
            CollectiveTimeout = TimeSpan.FromSeconds(1.5),
            RendezvousTimeout = TimeSpan.FromSeconds(5),
        };
        Assert.Equal(expected, configuration);
    }

    [Fact]
    public void A_value_that_a_later_layer_takes_back_asks_for_nothing()
    {
        var loaded = Nothing.Load(
            ["--set", "tensor_parallel_degree=1"], Loading.Variables(("SHARDSHARP_TENSOR_PARALLEL_DEGREE", "2")), null, null);

        Assert.Equal(1, loaded.Configuration.TensorParallelDegree);
    }
}
