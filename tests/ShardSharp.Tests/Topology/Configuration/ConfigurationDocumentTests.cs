using ShardSharp.Topology;

namespace ShardSharp.Tests.Topology.Configuration;

public sealed class ConfigurationDocumentTests
{
    private static readonly ParallelConfiguration Expected =
        new() { Ranks = 8, PipelineParallelDegree = 2, Microbatches = 4, Pipeline = PipelineScheduleKind.Simple };

    [Theory]
    [InlineData("""{"ranks": 8, "partitions": 2, "microbatches": 4, "pipeline": "simple"}""")]
    [InlineData(
        """
        // A comment.
        {"$schema": "shardsharp.schema.json", "ranks": 8, "pipeline_parallel_degree": 2, /* another */ "microbatches": 4,
         "pipeline": "simple",}
        """)]
    [InlineData(
        """
        {"smdistributed": {"modelparallel": {"enabled": true,
           "parameters": {"partitions": 2, "microbatches": 4, "pipeline": "simple", "horovod": false}}},
         "mpi": {"enabled": true, "processes_per_host": 8, "custom_mpi_options": "-x NCCL_DEBUG=WARN"}}
        """)]
    [InlineData(
        """
        {"smdistributed": {"modelparallel": {"enabled": true,
           "parameters": {"ranks": 8, "partitions": 2, "microbatches": 4, "pipeline": "simple"}}},
         "torch_distributed": {"enabled": true}}
        """)]
    [InlineData(
        """
        {"mp_parameters": {"partitions": 2, "microbatches": "4", "pipeline": "simple", "ddp": "True"},
         "sagemaker_mpi_num_of_processes_per_host": "8", "epochs": "3"}
        """)]
    [InlineData(
        """{"mp_parameters": "{\"ranks\": 8, \"partitions\": 2, \"microbatches\": 4, \"pipeline\": \"simple\"}"}""")]
    public void Reads_every_shape(string json) => Assert.Equal(Expected, Loading.Everything.Parse(json).Configuration);

    [Theory]
    [InlineData("""{"smdistributed": {"modelparallel": {"enabled": false, "parameters": {"partitions": 2}}}}""")]
    [InlineData("""{"smdistributed": {"dataparallel": {"enabled": false}}, "mpi": {"enabled": false, "processes_per_host": 8}}""")]
    public void A_section_that_is_not_enabled_asks_for_nothing(string json) =>
        Assert.Equal(new ParallelConfiguration(), ParallelConfiguration.FromJson(json));

    [Theory]
    [InlineData("""{"microbatches": 2, "microbatches": 4}""", "microbatches", "is given twice; keep one of them")]
    [InlineData(
        """{"partitions": 1, "pipeline_parallel_degree": 1}""",
        "pipeline_parallel_degree",
        "is the same key as partitions, which is given too; keep one of them")]
    [InlineData("""[1]""", "configuration", "must be a JSON object such as {\"microbatches\": 4}")]
    [InlineData("""{"smdistributed": 1}""", "smdistributed", "must be a JSON object such as {\"microbatches\": 4}")]
    [InlineData("""{"smdistributed": {}, "epochs": 1}""", "epochs", "is not a key beside smdistributed.modelparallel.parameters")]
    [InlineData("""{"smdistributed": {}, "ranks": 1}""", "ranks", "belongs into smdistributed.modelparallel.parameters")]
    [InlineData("""{"mp_parameters": {}, "ranks": 1}""", "ranks", "belongs into mp_parameters")]
    [InlineData(
        """{"smdistributed": {"dataparallel": {"enabled": true}}}""",
        "smdistributed.dataparallel",
        "is not supported; smdistributed takes modelparallel alone")]
    [InlineData("""{"smdistributed": {"modelparallel": {"enabled": 1}}}""", "smdistributed.modelparallel.enabled", "must be true or false")]
    [InlineData("""{"smdistributed": {}, "mpi": {"hosts": 2}}""", "mpi.hosts", "is not a key of mpi")]
    [InlineData("""{"smdistributed": {}, "mpi": {"processes_per_host": 0}}""", "ranks", "must be an integer from 1 to 1024")]
    public void Rejects_what_does_not_belong(string json, string key, string rule)
    {
        var violation = Loading.Violation(json);

        Assert.Equal((key, rule), (violation.Key, violation.Rule));
    }

    [Theory]
    [InlineData("{\n  \"ranks\": 2,\n  \"seed\" 3\n}", "line 3, column 10")]
    [InlineData("", "line 1, column 1")]
    [InlineData("{\"ranks\": 2", "line 1")]
    [InlineData("{\"pipeline\": \"\\ud800\"}", "is not JSON")]
    public void Says_where_text_is_not_JSON(string json, string where) =>
        Assert.Contains(where, Loading.Violation(json).Rule, StringComparison.Ordinal);
}
