using ShardSharp.Topology;

namespace ShardSharp.Tests.Topology.Configuration;

public sealed class ConfigurationSyntaxTests
{
    [Theory]
    [InlineData("ranks", "0", "1")]
    [InlineData("ranks", "100000", "1024")]
    [InlineData("ranks", "\"2\"", "1")]
    [InlineData("ranks", "1.5", "1")]
    [InlineData("ranks", "1e300", "1")]
    [InlineData("ranks", "null", "1")]
    [InlineData("ranks", "[2]", "1")]
    [InlineData("backend", "\"gloo\"", "\"shared-memory\"")]
    [InlineData("backend", "1", "\"shared-memory\"")]
    [InlineData("threads_per_rank", "0", "1")]
    [InlineData("threads_per_rank", "false", "null")]
    [InlineData("seed", "-1", "0")]
    [InlineData("collective_timeout_seconds", "0", "0.1")]
    [InlineData("collective_timeout_seconds", "1e12", "2000000")]
    [InlineData("collective_timeout_seconds", "\"soon\"", "300")]
    [InlineData("placement_strategy", "\"DDT\"", "\"cluster\"")]
    [InlineData("placement_strategy", "\"ptd\"", "\"PTD\"")]
    [InlineData("placement_strategy", "3", "\"cluster\"")]
    [InlineData("ddp", "1", "true")]
    [InlineData("ddp", "\"true\"", "true")]
    [InlineData("ddp_port", "-1", "0")]
    [InlineData("bucket_cap_mb", "0", "0.001")]
    [InlineData("microbatches", "0", "1")]
    [InlineData("partitions", "0", "1")]
    [InlineData("pipeline", "\"_only_forward\"", "\"interleaved\"")]
    [InlineData("optimize", "\"Speed\"", "\"memory\"")]
    [InlineData("memory_weight", "1.5", "1")]
    [InlineData("memory_weight", "-0.5", "0")]
    [InlineData("active_microbatches", "0", "1")]
    [InlineData("activation_loading_horizon", "0", "1")]
    [InlineData("default_partition", "-1", "0")]
    [InlineData("sdp_param_persistence_threshold", "-1", "0")]
    [InlineData("sdp_gradient_clipping", "0", "1E-06")]
    [InlineData("hybrid_shard_degree", "0", "1")]
    public void Rejects_a_value_of_the_wrong_type_or_size(string key, string value, string works)
    {
        var violation = Loading.Violation($$"""{"{{key}}": {{value}}}""");

        Assert.Equal(key, violation.Key);
        Assert.Equal(value, violation.Value);
        Assert.StartsWith("must be ", violation.Rule, StringComparison.Ordinal);
        Assert.Equal(new ConfigurationSuggestion(key, works), violation.Suggestion);
    }

    [Fact]
    public void Takes_an_integer_however_it_is_written()
    {
        var configuration =
            Loading.Everything.Parse("""{"sdp_reduce_bucket_size": 5e7, "microbatches": 4.0}""").Configuration;

        Assert.Equal(50_000_000, configuration.ShardedReduceBucketSize);
        Assert.Equal(4, configuration.Microbatches);
    }

    [Theory]
    [InlineData("cluster", "DPT")]
    [InlineData("spread", "TPD")]
    [InlineData("PTD", "PTD")]
    [InlineData("DTP", "DTP")]
    public void Gives_the_axis_order_of_a_placement(string placement, string order) =>
        Assert.Equal(order, ParallelConfiguration.FromJson($$"""{"placement_strategy": "{{placement}}"}""").PlacementOrder);

    [Theory]
    [InlineData("""{"tensor_parallel_degre": 2}""", "tensor_parallel_degree", "2")]
    [InlineData("""{"MicroBatches": 2}""", "microbatches", "2")]
    [InlineData("""{"rakns": 2}""", "ranks", "2")]
    [InlineData("""{"partition": 2}""", "partitions", "2")]
    public void Says_which_key_a_misspelt_one_was_meant_to_be(string json, string meant, string value)
    {
        var violation = Loading.Violations(json)[0];

        Assert.Equal($"is not a key; did you mean {meant}?", violation.Rule);
        Assert.Equal(new ConfigurationSuggestion(meant, value), violation.Suggestion);
    }

    [Fact]
    public void Says_nothing_of_a_key_that_resembles_none()
    {
        var violation = Loading.Violation("""{"learning_rate": 0.1}""");

        Assert.Equal("is not a key", violation.Rule);
        Assert.Null(violation.Suggestion.Value);
    }

    [Fact]
    public void Does_not_suggest_a_key_that_is_given_too()
    {
        var violation = Loading.Violation("""{"microbatchs": 2, "microbatches": 4}""");

        Assert.Contains("is given too", violation.Rule, StringComparison.Ordinal);
        Assert.Null(violation.Suggestion.Value);
    }

    [Theory]
    [InlineData("horovod", "true")]
    [InlineData("contiguous", "true")]
    [InlineData("load_partition", "true")]
    [InlineData("partition_file", "\"p.json\"")]
    [InlineData("tensor_parallel_seed", "7")]
    [InlineData("static_mode", "true")]
    [InlineData("fast_mode", "true")]
    [InlineData("checkpoint_attentions", "true")]
    [InlineData("_match_weights", "true")]
    [InlineData("_fp32_grad_accumulation", "true")]
    [InlineData("sm_activation_offloading", "true")]
    [InlineData("fsdp_cache_flush_warnings", "true")]
    [InlineData("allow_empty_shards", "true")]
    [InlineData("deterministic_server", "1")]
    public void Rejects_a_known_key_without_counterpart_and_says_why(string key, string value)
    {
        var violation = Loading.Violation($$"""{"{{key}}": {{value}}}""");

        Assert.Equal(key, violation.Key);
        Assert.Equal(ForeignKey.Find(key)!.Reason, violation.Rule);
        Assert.Equal("leave it out", violation.Suggestion.ToString());
    }

    [Fact]
    public void Accepts_a_known_key_without_counterpart_that_asks_for_nothing()
    {
        var json = $"{{{string.Join(",", ForeignKey.All.Select(key => $"\"{key.Name}\": {key.Harmless[0]}"))}}}";

        Assert.Equal(new ParallelConfiguration(), ParallelConfiguration.FromJson(json));
    }
}
