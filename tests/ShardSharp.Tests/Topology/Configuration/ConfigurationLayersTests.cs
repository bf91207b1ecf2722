using ShardSharp.Launching;
using ShardSharp.Topology;

namespace ShardSharp.Tests.Topology.Configuration;

public sealed class ConfigurationLayersTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("configuration-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(ConfigurationSourceKind.Default, 1)]
    [InlineData(ConfigurationSourceKind.Code, 2)]
    [InlineData(ConfigurationSourceKind.File, 3)]
    [InlineData(ConfigurationSourceKind.SageMaker, 4)]
    [InlineData(ConfigurationSourceKind.Environment, 5)]
    [InlineData(ConfigurationSourceKind.CommandLine, 6)]
    public void A_later_layer_overrides_an_earlier_one(ConfigurationSourceKind last, int expected)
    {
        var variables = new Dictionary<string, string>();
        var arguments = new List<string>();
        if (last >= ConfigurationSourceKind.File)
            variables["SHARDSHARP_CONFIG"] = Write("train.json", """{"microbatches": 3}""");
        if (last >= ConfigurationSourceKind.SageMaker)
            variables["SM_HP_MP_PARAMETERS"] = """{"microbatches": 4}""";
        if (last >= ConfigurationSourceKind.Environment)
            variables["SHARDSHARP_MICROBATCHES"] = "5";
        if (last >= ConfigurationSourceKind.CommandLine)
            arguments.AddRange(["--set", "microbatches=6"]);
        ParallelConfiguration? code = last >= ConfigurationSourceKind.Code ? new() { Microbatches = 2 } : null;

        var loaded = ParallelConfiguration.Load(arguments, variables, code);

        Assert.Equal(expected, loaded.Configuration.Microbatches);
        Assert.Equal(last, loaded.Sources["microbatches"].Kind);
        Assert.Equal(ConfigurationSourceKind.Default, loaded.Sources["seed"].Kind);
    }

    [Fact]
    public void Layers_keep_what_later_ones_do_not_mention()
    {
        var file = Write("train.json", """{"ranks": 2, "seed": 3}""");

        var loaded = ParallelConfiguration.Load(
            ["--config", file, "--ranks=4"], Loading.NoVariables, new ParallelConfiguration { Microbatches = 8, Seed = 1 });

        Assert.Equal(new ParallelConfiguration { Ranks = 4, Seed = 3, Microbatches = 8 }, loaded.Configuration);
        Assert.Equal($"file {file}", loaded.Sources["seed"].ToString());
        Assert.Equal("command line --ranks", loaded.Sources["ranks"].ToString());
        Assert.Equal("code", loaded.Sources["microbatches"].ToString());
    }

    [Fact]
    public void Leaves_the_arguments_of_the_program_in_order()
    {
        var loaded = ParallelConfiguration.Load(
            ["train", "--ranks", "2", "--epochs", "3", "--backend", "threads", "-v", "--set", "seed=5", "--", "--ranks", "9", "--"],
            Loading.NoVariables);

        Assert.Equal(["train", "--epochs", "3", "-v", "--ranks", "9", "--"], loaded.ProgramArguments);
        Assert.Equal(
            new ParallelConfiguration { Ranks = 2, Backend = CommunicationBackend.Threads, Seed = 5 }, loaded.Configuration);
    }

    [Fact]
    public void The_last_of_equal_options_counts() =>
        Assert.Equal(3, ParallelConfiguration.Load(["--ranks", "2", "--ranks", "3"], Loading.NoVariables).Configuration.Ranks);

    [Theory]
    [InlineData("--ranks")]
    [InlineData("--config")]
    [InlineData("--set")]
    public void An_option_needs_its_value(string option)
    {
        var violation =
            Assert.Single(Loading.Violations(() => ParallelConfiguration.Load([option, "--"], Loading.NoVariables)));

        Assert.Equal((option, "needs a value"), (violation.Key, violation.Rule));
    }

    [Fact]
    public void A_setting_names_key_and_value() => Assert.Equal(
        "must be key=value",
        Assert.Single(Loading.Violations(() => ParallelConfiguration.Load(["--set", "seed"], Loading.NoVariables))).Rule);

    [Fact]
    public void Environment_variables_spell_every_kind_of_value()
    {
        var loaded = ParallelConfiguration.Load([], Loading.Variables(
            ("SHARDSHARP_RANKS", " 2 "),
            ("SHARDSHARP_DDP", "True"),
            ("SHARDSHARP_BROADCAST_BUFFERS", "false"),
            ("SHARDSHARP_BACKEND", "threads"),
            ("SHARDSHARP_BUCKET_CAP_MB", "0.5"),
            ("SHARDSHARP_THREADS_PER_RANK", "null"),
            ("SHARDSHARP_PARTITIONS", "1"),
            ("SHARDSHARP_HOROVOD", "False"),
            ("SHARDSHARP_SEED", "")));

        var expected = new ParallelConfiguration
        {
            Ranks = 2,
            BroadcastBuffers = false,
            Backend = CommunicationBackend.Threads,
            BucketCapacityMegabytes = 0.5,
        };
        Assert.Equal(expected, loaded.Configuration);
    }

    [Fact]
    public void Variables_of_the_launcher_and_of_others_are_not_read() => Assert.Equal(
        new ParallelConfiguration(),
        ParallelConfiguration.Load([], Loading.Variables(
            ("SHARDSHARP_RANK", "0"), ("SHARDSHARP_WORLD_SIZE", "2"), ("SHARDSHARP_LOCAL_RANK", "0"), ("SHARDSHARP_LOCAL_SIZE", "2"),
            ("SHARDSHARP_JOB", "x"), ("RANKS", "7"), ("PATH", "/bin"))).Configuration);

    [Fact]
    public void Knows_every_variable_of_the_launcher()
    {
        var launch = new LocalLaunch { Command = new ProgramCommand("program", []), Ranks = 2, ThreadsPerRank = 1 };

        Assert.Equal(new ParallelConfiguration(), ParallelConfiguration.Load([], launch.EnvironmentOf(1)).Configuration);
    }

    [Fact]
    public void Other_variables_with_the_prefix_are_rejected()
    {
        var violation = Assert.Single(Loading.Violations(() =>
            ParallelConfiguration.Load([], Loading.Variables(("SHARDSHARP_MICROBATCH", "2")))));

        Assert.Equal("is not a key; did you mean microbatches?", violation.Rule);
        Assert.EndsWith("works: SHARDSHARP_MICROBATCHES=2", violation.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{}")]
    public void Empty_SageMaker_parameters_ask_for_nothing(string json) => Assert.Equal(
        new ParallelConfiguration(), ParallelConfiguration.Load([], Loading.Variables(("SM_HP_MP_PARAMETERS", json))).Configuration);

    [Theory]
    [InlineData("""{"ddp":true,"microbatches":4,"partitions":2,"pipeline":"interleaved"}""")]
    [InlineData("""{"ddp":"True","microbatches":"4","partitions":"2","pipeline":"interleaved"}""")]
    [InlineData(""" "{\"ddp\":true,\"microbatches\":4,\"partitions\":2}" """)]
    public void Reads_SageMaker_parameters_with_or_without_types(string json)
    {
        var loaded = Loading.Everything.Load([], Loading.Variables(("SM_HP_MP_PARAMETERS", json)), null, worldSize: 8);

        Assert.Equal(new ParallelConfiguration { Microbatches = 4, PipelineParallelDegree = 2 }, loaded.Configuration);
    }

    [Fact]
    public void The_option_names_the_file_before_the_variable()
    {
        var option = Write("option.json", """{"seed": 1}""");
        var variable = Write("variable.json", """{"seed": 2}""");

        var loaded = ParallelConfiguration.Load([$"--config={option}"], Loading.Variables(("SHARDSHARP_CONFIG", variable)));

        Assert.Equal(1, loaded.Configuration.Seed);
    }

    [Fact]
    public void Says_when_the_file_cannot_be_read()
    {
        var missing = Path.Combine(_folder, "missing.json");

        var violation = Assert.Single(Loading.Violations(() =>
            ParallelConfiguration.Load(["--config", missing], Loading.NoVariables)));

        Assert.Equal("config", violation.Key);
        Assert.StartsWith("cannot be read: ", violation.Rule, StringComparison.Ordinal);
        Assert.Equal("command line --config", violation.Source.ToString());
    }

    [Fact]
    public void An_estimator_may_name_the_file_with_the_parameters()
    {
        Write("parameters.json", """{"seed": 4}""");
        var file = Write("estimator.json", """{"smdistributed": {"modelparallel": {"parameters": "parameters.json"}}}""");

        Assert.Equal(4, ParallelConfiguration.Load(["--config", file], Loading.NoVariables).Configuration.Seed);
    }

    [Fact]
    public void An_estimator_may_not_name_itself()
    {
        var file = Write("estimator.json", """{"smdistributed": {"modelparallel": {"parameters": "estimator.json"}}}""");

        Assert.Equal(
            "names the file it stands in",
            Assert.Single(Loading.Violations(() => ParallelConfiguration.Load(["--config", file], Loading.NoVariables))).Rule);
    }

    [Fact]
    public void Values_set_in_code_are_checked_too()
    {
        var code = new ParallelConfiguration
        {
            Microbatches = 0,
            MemoryWeight = double.NaN,
            Pipeline = (PipelineScheduleKind)9,
            CollectiveTimeout = TimeSpan.Zero,
            PlacementStrategy = null!,
        };

        var violations =
            Loading.Violations(() => Loading.Everything.Load([], Loading.NoVariables, code, null));

        Assert.Equal(
            ["collective_timeout_seconds", "placement_strategy", "microbatches", "pipeline", "memory_weight"],
            violations.Select(violation => violation.Key));
        Assert.All(violations, violation => Assert.Equal("code", violation.Source.ToString()));
    }

    [Fact]
    public void A_started_job_has_at_least_one_rank() => Assert.Throws<ArgumentOutOfRangeException>(() =>
        ParallelConfiguration.Load([], Loading.NoVariables, worldSize: 0));

    private string Write(string name, string json)
    {
        var path = Path.Combine(_folder, name);
        File.WriteAllText(path, json);
        return path;
    }
}
