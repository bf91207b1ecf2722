using ShardSharp.Communication;
using ShardSharp.Pipeline.Partitioning;
using ShardSharp.Testing;
using ShardSharp.Tests.Checkpoints;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Tests.Topology.Configuration;
using ShardSharp.Topology;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace ShardSharp.Tests;

[Collection(nameof(WholeProcess))]
public sealed class SessionPartitioningTests
{
    private static readonly ParallelConfiguration ByHand = new() { AutoPartition = false, DefaultPartition = 0 };

    [Fact]
    public void Modules_belong_to_the_stage_that_they_were_created_for() => Run(ByHand, session =>
    {
        using var model = session.DistributedModel(() => new Model(session), example: Example);

        string[] expected = session.Rank == 0
            ? ["first.weight", "first.bias"]
            : ["Second.0.weight", "Second.0.bias", "Third.weight", "Third.bias"];
        Assert.Equal(expected.Order(), model.NamedParameters.Select(named => named.Name).Order());
    });

    [Fact]
    public void A_stage_before_that_of_the_part_before_is_refused() => Run(ByHand, session =>
    {
        var refusal = Assert.Throws<ArgumentException>(() => session.DistributedModel(() => ThirdFirst(session), example: Example)).Message;
        Assert.Contains("'Third' is put on stage 0 (by the program, for Linear), but it runs after 'Second.1', which is put on stage 1", refusal, StringComparison.Ordinal);
    });

    [Fact]
    public void Automatic_partitioning_ignores_them() => Run(new ParallelConfiguration { MemoryWeight = 1 }, session =>
    {
        using var model = session.DistributedModel(() => ThirdFirst(session), example: Example);

        Assert.Contains(session.Rank == 0 ? "first.weight" : "Third.weight", model.NamedParameters.Select(named => named.Name));
    });

    [Fact]
    public void The_first_rank_writes_its_decision_to_a_file_which_decides_the_next_time()
    {
        using var folder = new TemporaryFolder();
        var file = folder["partition.json"];
        var automatic = new ParallelConfiguration { PipelinePartitionFile = file };
        Run(automatic, session =>
        {
            using var model = new Model(session);
            var cut = session.CutModel(model, [rand(2, 4)]);
            session.Groups.World.Barrier();
            Assert.Equal(File.ReadAllText(file), PipelinePartitionFile.Format(cut.Partition));
        });
        var parts = PipelinePartitionFile.Parse(File.ReadAllText(file)).Layers;
        File.WriteAllText(file, PipelinePartitionFile.Format(PipelinePartition.Of(parts, [1, 4], 0.8)));
        Run(automatic, session =>
        {
            using var model = new Model(session);
            Assert.Equal([0, 1, 1, 1, 1], Stages(session, model));
        });
    }

    /// <summary>However the stages are decided, with and without building the model in a file, it is cut so and trains as one rank does.</summary>
    [Theory]
    [InlineData("scopes", false, new[] { 0, 0, 1, 1, 1 })]
    [InlineData("scopes", true, new[] { 0, 0, 1, 1, 1 })]
    [InlineData("SetPartition", true, new[] { 0, 0, 0, 0, 1 })]
    [InlineData("patterns", true, new[] { 0, 1, 1, 1, 1 })]
    [InlineData("default", true, new[] { 0, 0, 1, 1, 1 })]
    [InlineData("memory limit", true, null)]
    [InlineData("skip_tracing", true, new[] { 0, 0, 0, 0, 1 })]
    [InlineData("file", true, new[] { 0, 1, 1, 1, 1 })]
    public void Every_way_to_decide_works_with_delayed_initialisation(string way, bool delayed, int[]? expected)
    {
        using var folder = new TemporaryFolder();
        var configuration = (way switch
        {
            "scopes" or "SetPartition" => ByHand,
            "default" => ByHand with { DefaultPartition = 1 },
            "patterns" => ByHand with { PartitionPatterns = "first=0, *=1" },
            "memory limit" => new ParallelConfiguration { StageMemoryLimitMegabytes = 0.75, MemoryWeight = 0 },
            "skip_tracing" => new ParallelConfiguration { SkipTracing = true },
            _ => new ParallelConfiguration { PipelinePartitionFile = folder["partition.json"] },
        }) with
        { DelayedParameterInitialization = delayed, DelayedInitializationFolder = folder[""] };
        if (way == "file")
        {
            Run(new ParallelConfiguration(), session =>
            {
                using var model = new Model(session, Wide);
                var cut = session.CutModel(model, [rand(2, Wide)]);
                if (session.IsFirstRank)
                    File.WriteAllText(folder["partition.json"], PipelinePartitionFile.Format(PipelinePartition.Of(cut.Partition.Layers, [1, 4], 0.8)));
            });
        }

        using var scope = NewDisposeScope();
        using var inputs = Randoms.Normal(1, 4, Wide);
        var losses = new double[2];
        Run(configuration, session =>
        {
            using var model = session.DistributedModel(
                () => way == "skip_tracing" ? Randoms.Filled(Listed(session)) : Decided(session), example: () => [zeros(2, Wide)]);
            string[] names = ["first.weight", "Second.0.weight", "Third.weight"];
            var mine = model.NamedParameters.Select(named => named.Name).ToHashSet();
            Assert.InRange(names.Count(mine.Contains), 1, 2);
            if (expected is not null)
                Assert.Equal(names.Where((_, i) => expected[2 * i] == session.Rank), names.Where(mine.Contains));
            Assert.All(model.Parameters, parameter => Assert.True(parameter.numel() >= Wide));
            using var loss = model.Step([inputs], [inputs], (outputs, labels) => (outputs[0] - labels[0]).pow(2).mean());
            losses[session.Rank] = loss.ReduceMean();
        });
        using var alone = Alone();
        var plain = (alone.call(inputs) - inputs).pow(2).mean().item<float>();
        Assert.All(losses, loss => Assert.Equal(plain, loss, 1e-4 * plain));

        Module<Tensor, Tensor> Decided(Session session)
        {
            var model = Randoms.Filled(new Model(session, Wide, scopes: way is "scopes"));
            if (way == "SetPartition")
                session.SetPartition(model.Third, 1);
            if (way == "default")
                session.SetPartition(model.First, 0);
            return model;
        }

        Module<Tensor, Tensor> Alone()
        {
            Module<Tensor, Tensor>? built = null;
            RankHarness.RunSessions(1, session => built = Randoms.Filled(new Model(session, Wide, scopes: false)));
            return built!;
        }
    }

    [Fact]
    public void A_replaced_module_is_on_the_stage_of_what_it_replaces() => RankHarness.RunSessions(
        4,
        session =>
        {
            using var model = session.DistributedModel(
                () =>
                {
                    var linear = session.Partition(1, () => Linear(4, 4));
                    var model = Sequential(("0", Linear(4, 4)), ("1", (Module<Tensor, Tensor>)linear));
                    session.SetTensorParallelism(linear);
                    return model;
                });

            Assert.Equal(session.Position.PipelineRank == 0 ? [4, 4] : [4, 2], model.NamedParameters.First().Parameter.shape);
        },
        ByHand with { PipelineParallelDegree = 2, TensorParallelDegree = 2, PrescaledBatch = true });

    [Fact]
    public void A_stage_that_is_not_there_is_refused() => Run(ByHand, session =>
    {
        Assert.Contains("stages are 0 to 1", Assert.Throws<ArgumentOutOfRangeException>(() => session.Partition(2)).Message, StringComparison.Ordinal);
        using var module = Linear(1, 1);
        Assert.Throws<ArgumentOutOfRangeException>(() => session.SetPartition(module, -1));
    });

    /// <summary>Wide enough for the parameters to be built in a file: 64 KiB and more.</summary>
    private const int Wide = 256;

    private static Tensor[] Example() => [zeros(2, 4)];

    private static Sequential Listed(Session session)
    {
        var model = new Model(session, Wide, scopes: false);
        return Sequential(("first", model.First), ("between", ReLU()), ("Second", model.Second), ("Third", model.Third));
    }

    private static Model ThirdFirst(Session session)
    {
        var model = new Model(session);
        session.SetPartition(model.Third, 0);
        return model;
    }

    private static int[] Stages(Session session, Module model)
    {
        using var scope = NewDisposeScope();
        var cut = session.CutModel(model, [rand(2, 4)]);
        return [.. Enumerable.Range(0, cut.Chain.Parts.Count).Select(cut.Partition.StageOf)];
    }

    /// <summary>Two stages on two ranks.</summary>
    private static void Run(ParallelConfiguration configuration, Action<Session> program)
    {
        var loaded = Loading.Everything.Load([], Loading.NoVariables, configuration with { Ranks = 2, PipelineParallelDegree = 2 }, null);
        var construction = new Lock();
        RankHarness.Run(2, world =>
        {
            using var session = new Session(loaded, world, (world.Rank, 2), construction, new CallSite(nameof(SessionPartitioningTests), 0));
            program(session);
        });
    }

    private sealed class Model : Module<Tensor, Tensor>
    {
        private readonly ReLU _between;

        public Model(Session session, int width = 4, bool scopes = true)
            : base(nameof(Model))
        {
            First = Linear(width, width);
            _between = ReLU();
            using (scopes ? session.Partition(1) : null)
                Second = Sequential(Linear(width, width), ReLU());
            Third = scopes ? session.Partition(1, () => Linear(width, width)) : Linear(width, width);
            register_module("first", First);
            register_module("between", _between);
            register_module(nameof(Second), Second);
            register_module(nameof(Third), Third);
        }

        public Linear First { get; }

        public Sequential Second { get; }

        public Linear Third { get; }

        public override Tensor forward(Tensor input) => Third.call(Second.call(_between.call(First.call(input))));
    }
}
