using ShardSharp.Topology;

namespace ShardSharp.Tests.Topology.Configuration;

public sealed class ConfigurationReportTests
{
    [Fact]
    public void Reports_every_violation_at_once()
    {
        var variables = Loading.Variables(
            ("SM_HP_MP_PARAMETERS", """{"context_parallel_degree": 2, "horovod": true, "pipeline": "1f1b"}"""),
            ("SHARDSHARP_MICROBATCHES", "none"),
            ("SHARDSHARP_DDP", "false"));

        var exception = Assert.Throws<ConfigurationException>(() => ParallelConfiguration.Load(
            ["--ranks", "0", "--set", "expert_parallel_degree=2", "--set", "microbatchs=4"],
            variables,
            new ParallelConfiguration { Seed = -1 }));

        Assert.Equal(
            """
            The configuration has 8 problems:
              seed = -1 (code) must be an integer of at least 0
                works: "seed": 0
              pipeline = 1f1b (environment variable SM_HP_MP_PARAMETERS) must be one of "interleaved", "interleaved_divided_drain", "simple", "interleaved_1f1b", "zero_bubble_h1", "zero_bubble_v"
                works: "pipeline": "interleaved"
              horovod = true (environment variable SM_HP_MP_PARAMETERS) is for TensorFlow; data parallelism is ddp here
                works: leave it out
              microbatches = none (environment variable SHARDSHARP_MICROBATCHES) must be an integer of at least 1
                works: SHARDSHARP_MICROBATCHES=1
              ranks = 0 (command line --ranks) must be an integer from 1 to 1024
                works: --ranks 1
              microbatchs = 4 (command line --set) is not a key; did you mean microbatches?
                works: --set microbatches=4
              context_parallel_degree = 2 (environment variable SM_HP_MP_PARAMETERS) is not supported yet: it asks for context parallelism
                works: "context_parallel_degree": 1
              expert_parallel_degree = 2 (command line --set) is not supported yet: it asks for expert parallelism
                works: --set expert_parallel_degree=1
            Keys, values and rules: docs/configuration.md
            """.ReplaceLineEndings("\n"),
            exception.Message);
        Assert.Equal(8, exception.Violations.Count);
    }

    [Fact]
    public void Cuts_long_values()
    {
        var violation = Loading.Violation($$"""{"pipeline": "{{new string('x', 500)}}"}""");

        Assert.Equal(83, violation.Value.Length);
    }

    [Fact]
    public void A_report_has_something_to_report() => Assert.Throws<ArgumentException>(() => new ConfigurationException([]));

    [Fact]
    public void Describes_the_configuration_in_force()
    {
        var lines = ParallelConfiguration.Load(["--ranks", "2"], Loading.NoVariables).Describe().Split('\n');

        Assert.Equal(ConfigurationKeys.All.Count, lines.Length);
        Assert.Equal("ranks                              2                command line --ranks", lines[0]);
        Assert.Equal("backend                            \"shared-memory\"  default", lines[1]);
    }
}
