using ShardSharp.Topology;

namespace ShardSharp.Tests.Topology.Configuration;

public sealed class ConfigurationRulesTests
{
    [Theory]
    [InlineData("""{"fp16": true, "bf16": true}""", null, "fp16", "false")]
    [InlineData("""{"reduce_dtype": "bfloat16"}""", null, "reduce_dtype", "\"float32\"")]
    [InlineData("""{"buffer_dtype": "float32"}""", null, "buffer_dtype", "null")]
    [InlineData("""{"output_dtype": "float16"}""", null, "output_dtype", "\"float32\"")]
    [InlineData("""{"sharded_data_parallel_degree": 2, "pipeline_parallel_degree": 2}""", 4, "pipeline_parallel_degree", "1")]
    [InlineData("""{"sharded_data_parallel_degree": 2, "shard_optimizer_state": true}""", 4, "shard_optimizer_state", "false")]
    [InlineData("""{"sharded_data_parallel_degree": 2, "tensor_parallel_degree": 2}""", 4, "prescaled_batch", "true")]
    [InlineData("""{"expert_parallel_degree": 2, "tensor_parallel_degree": 2}""", 4, "expert_parallel_degree", "1")]
    [InlineData("""{"auto_partition": false}""", null, "default_partition", "0")]
    [InlineData("""{"auto_partition": false, "default_partition": 2, "partitions": 2}""", 4, "default_partition", "1")]
    [InlineData("""{"default_partition": 1}""", null, "default_partition", "0")]
    [InlineData("""{"offload_activations": true, "partitions": 2}""", 4, "microbatches", "2")]
    [InlineData(
        """{"offload_activations": true, "partitions": 2, "microbatches": 4, "active_microbatches": 1}""", 4, "active_microbatches", "2")]
    [InlineData("""{"ddp": false, "tensor_parallel_degree": 2}""", 2, "ddp", "true")]
    [InlineData("""{"ddp": false, "sharded_data_parallel_degree": 2}""", 2, "ddp", "true")]
    [InlineData("""{"ddp": false, "context_parallel_degree": 2}""", 2, "ddp", "true")]
    [InlineData("""{"ddp": false, "expert_parallel_degree": 2}""", 2, "ddp", "true")]
    [InlineData("""{"ddp": false, "ddp_port": 29500}""", null, "ddp", "true")]
    [InlineData("""{"ddp": false, "ddp_dist_backend": "nccl"}""", null, "ddp", "true")]
    [InlineData("""{"backend": "threads", "ddp_dist_backend": "nccl"}""", null, "ddp_dist_backend", "\"auto\"")]
    [InlineData("""{"ddp": false, "partitions": 2}""", 4, "ddp", "true")]
    [InlineData("""{"ddp": false, "ranks": 2}""", null, "ddp", "true")]
    [InlineData("""{"tensor_parallel_degree": 2}""", null, "ranks", "2")]
    [InlineData("""{"tensor_parallel_degree": 2, "partitions": 3, "ranks": 8}""", null, "ranks", "12")]
    [InlineData("""{"sharded_data_parallel_degree": 3, "ranks": 4}""", null, "ranks", "6")]
    [InlineData("""{"sharded_data_parallel_degree": 3, "ranks": 1024}""", null, "ranks", "1023")]
    [InlineData("""{"context_parallel_degree": 2, "sharded_data_parallel_degree": 4, "ranks": 2}""", null, "ranks", "4")]
    [InlineData("""{"partitions": 4}""", 6, "pipeline_parallel_degree", "3")]
    [InlineData("""{"tensor_parallel_degree": 4, "partitions": 2}""", 12, "tensor_parallel_degree", "3")]
    [InlineData("""{"sharded_data_parallel_degree": 8}""", 12, "sharded_data_parallel_degree", "6")]
    [InlineData("""{"context_parallel_degree": 8}""", 4, "context_parallel_degree", "4")]
    [InlineData("""{"expert_parallel_degree": 8}""", 4, "expert_parallel_degree", "4")]
    [InlineData("""{"tensor_parallel_degree": 2000000000, "ranks": 6}""", null, "tensor_parallel_degree", "6")]
    public void Rejects_values_that_do_not_go_together(string json, int? worldSize, string key, string works)
    {
        var violation = Loading.Violation(json, worldSize);

        var written = key == "pipeline_parallel_degree" && json.Contains("partitions", StringComparison.Ordinal) ? "partitions" : key;
        Assert.Equal(written, violation.Key);
        Assert.StartsWith("must ", violation.Rule, StringComparison.Ordinal);
        Assert.Equal(works, violation.Suggestion.Value);
    }

    [Theory]
    [InlineData("""{"partitions": 2, "microbatches": 4, "ddp": false}""", 2)]
    [InlineData("""{"auto_partition": false, "default_partition": 1, "partitions": 2}""", 2)]
    [InlineData("""{"tensor_parallel_degree": 2, "sharded_data_parallel_degree": 4, "prescaled_batch": true}""", 8)]
    [InlineData("""{"offload_activations": true}""", 1)]
    [InlineData("""{"ranks": 3, "ddp": true}""", 8)]
    public void Accepts_values_that_go_together(string json, int worldSize) =>
        Assert.NotNull(Loading.Everything.Parse(json, worldSize).Configuration);

    [Fact]
    public void Every_rule_is_about_a_key() =>
        Assert.All(ConfigurationRules.All, rule => Assert.NotNull(ConfigurationKeys.Find(rule.Key)));

    [Fact]
    public void Reports_a_value_once_with_a_suggestion_that_keeps_every_rule()
    {
        var violation = Loading.Violation("""{"partitions": 2, "auto_partition": false, "default_partition": -3}""", 2);
        Assert.Equal(("default_partition", "0"), (violation.Key, violation.Suggestion.Value));

        var violations =
            Loading.Violations("""{"partitions": 4, "auto_partition": false, "default_partition": 9}""", 6);
        Assert.Equal(["\"partitions\": 3", "\"default_partition\": 2"], violations.Select(v => v.Suggestion.ToString()));
    }

    [Theory]
    [InlineData("memory", null, 0.8)]
    [InlineData("speed", null, 0.2)]
    [InlineData("speed", 0.5, 0.5)]
    public void Memory_weight_follows_optimize_unless_given(string optimize, double? given, double expected)
    {
        var json = $$"""{"optimize": "{{optimize}}", "memory_weight": {{given?.ToString() ?? "null"}}}""";

        Assert.Equal(expected, Loading.Everything.Parse(json).Configuration.EffectiveMemoryWeight);
    }

    [Theory]
    [InlineData(1, 1, null, 1)]
    [InlineData(2, 8, null, 4)]
    [InlineData(2, 3, null, 3)]
    [InlineData(2, 8, 2, 2)]
    public void Microbatches_in_flight_are_two_more_than_stages_unless_given(int stages, int microbatches, int? given, int expected)
    {
        var configuration = new ParallelConfiguration
        {
            PipelineParallelDegree = stages,
            Microbatches = microbatches,
            ActiveMicrobatches = given,
        };

        Assert.Equal(expected, configuration.EffectiveActiveMicrobatches);
    }
}
