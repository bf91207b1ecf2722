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

    [Fact]
    public void A_stage_that_is_not_there_is_refused() => Run(ByHand, session =>
    {
        Assert.Contains("stages are 0 to 1", Assert.Throws<ArgumentOutOfRangeException>(() => session.Partition(2)).Message, StringComparison.Ordinal);
        using var module = Linear(1, 1);
        Assert.Throws<ArgumentOutOfRangeException>(() => session.SetPartition(module, -1));
    });

    private static Tensor[] Example() => [zeros(2, 4)];

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
        private readonly Linear _first;
        private readonly ReLU _between;

        public Model(Session session)
            : base(nameof(Model))
        {
            _first = Linear(4, 4);
            _between = ReLU();
            using (session.Partition(1))
                Second = Sequential(Linear(4, 4), ReLU());
            Third = session.Partition(1, () => Linear(4, 4));
            register_module("first", _first);
            register_module("between", _between);
            register_module(nameof(Second), Second);
            register_module(nameof(Third), Third);
        }

        public Sequential Second { get; }

        public Linear Third { get; }

        public override Tensor forward(Tensor input) => Third.call(Second.call(_between.call(_first.call(input))));
    }
}
