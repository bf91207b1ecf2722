using ShardSharp.Communication;
using ShardSharp.HuggingFace;
using ShardSharp.Modules;
using ShardSharp.Pipeline.Partitioning;
using ShardSharp.Testing;
using ShardSharp.Tests.HuggingFace;
using ShardSharp.Tests.Pipeline.Tracing;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace ShardSharp.Tests.Pipeline.Partitioning;

public sealed class ModelPartitionerTests
{
    private static readonly PartitionRequest Two = new() { Stages = 2 };

    [Fact]
    public void All_ranks_get_one_decision_which_covers_the_model()
    {
        var gate = new Lock();
        var cuts = RankHarness.Run(3, ranks =>
        {
            using var scope = NewDisposeScope();
            using var model = Build(gate, () => new MaskedModel(layers: 6));
            Tensor[] batch = [randint(11, [2, 5], ScalarType.Int64), rand(2, 5)];
            var cut = ModelPartitioner.Cut(model, batch, Two with { Stages = 3 }, ranks, gate);

            Assert.All(model.parameters(), parameter => Assert.Null(parameter.grad));
            Assert.Equal(cut.Chain.Parts, Enumerable.Range(0, 3).SelectMany(cut.PartsOf));
            Assert.Equal(
                model.parameters().Sum(parameter => parameter.numel() * 4), cut.Partition.Layers.Sum(layer => layer.ParameterBytes));
            return PipelinePartitionFile.Format(cut.Partition);
        });

        Assert.Equal([cuts[0], cuts[0], cuts[0]], cuts);
    }

    [Theory]
    [InlineData("gpt2")]
    [InlineData("llama-tied")]
    public void Tied_parts_stay_together_unless_they_may_be_split(string name)
    {
        using var scope = NewDisposeScope();
        using var reference = new ReferenceFile(ReferenceModels.PathOf(name));
        using var model = HuggingFaceModel.Load(ReferenceModels.PathOf(name));
        Tensor[] batch = [reference["input_ids"]];

        var refused = Assert.Throws<ArgumentException>(() => Alone(model, batch, Two));
        var cut = Alone(model, batch, Two with { SplitTied = true });

        Assert.Contains("split_tied_parameters = true", refused.Message, StringComparison.Ordinal);
        var tie = Assert.Single(cut.Ties);
        Assert.Equal([0, 1], tie.Stages);
        Assert.Contains(tie.Name, model.named_parameters().Select(named => named.name));
    }

    [Fact]
    public void The_parameters_alone_decide_without_running_the_model()
    {
        using var model = Sequential(("a", new NeverRun()), ("b", Linear(4, 4)), ("c", Linear(4, 4)));

        Assert.Equal([2, 1], Alone(model, [], Two with { SkipTracing = true }).Partition.Stages.Select(stage => stage.Count));
        using var other = new MaskedModel();
        Assert.Contains(
            "IPipelineModel", Assert.Throws<ArgumentException>(() => Alone(other, [], Two with { SkipTracing = true })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_stage_may_not_have_more_than_its_memory()
    {
        using var model = Sequential(("a", Linear(4, 4)), ("b", Linear(4, 4)), ("c", Linear(4, 4)));

        var refused = Assert.Throws<ArgumentException>(() => Alone(model, [], Two with { SkipTracing = true, StageBytes = 100 }));

        Assert.Contains("160 bytes is the least", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_partition_that_is_given_is_used_and_must_fit()
    {
        using var model = Sequential(("a", Linear(4, 4)), ("b", Linear(4, 4)), ("c", Linear(4, 4)));
        var given = """{"version": 1, "stages": [{"parts": [{"name": "a"}]}, {"parts": [{"name": "b"}, {"name": "c"}]}]}""";
        Tensor[] batch = [rand(2, 4)];

        Assert.Equal([1, 2], Alone(model, batch, Two with { Fixed = given }).Partition.Stages.Select(stage => stage.Count));
        Refuses("'b'; in the partition that was given it is 'x'", given.Replace("\"b\"", "\"x\"", StringComparison.Ordinal), 2);
        Refuses("'c'; in the partition that was given it is none", given.Replace(", {\"name\": \"c\"}", "", StringComparison.Ordinal), 2);
        Refuses("has 2 stages; pipeline_parallel_degree asks for 3", given, 3);

        void Refuses(string why, string text, int stages) => Assert.Contains(
            why, Assert.Throws<ArgumentException>(() => Alone(model, batch, Two with { Stages = stages, Fixed = text })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_model_with_too_few_parts_is_told_where_it_breaks()
    {
        using var scope = NewDisposeScope();
        using var model = new Broken();

        var message = Assert.Throws<ArgumentException>(() => Alone(model, [rand(2, 4)], Two)).Message;

        Assert.Contains("the model stays whole: input 0 of '_second', after '_first', is what no module returned", message, StringComparison.Ordinal);
        Assert.Contains("output 0 of the model was computed after '_third'", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_part_that_computes_with_what_it_does_not_hold_is_refused()
    {
        using var scope = NewDisposeScope();
        var hidden = new Parameter(rand(4));
        using var model = Sequential(("a", new Reaching(() => hidden)), ("b", new Holding(hidden)));

        var message = Assert.Throws<InvalidOperationException>(() => Alone(model, [rand(2, 4)], Two)).Message;

        Assert.Contains("'a' computes with the parameter 'b.held'", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_model_built_delayed_is_cut_the_same()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Delayed initialisation is for Linux.");
        using var scope = NewDisposeScope();
        using var delayed = new DelayedConstruction(null);
        using var model = delayed.Build(() => Sequential(("a", Linear(256, 512)), ("b", ReLU()), ("c", Linear(512, 256))));
        Tensor[] batch = [rand(4, 256)];

        var cut = Alone(model, batch, Two);

        Assert.Equal(["a", "b", "c"], Chains.Names(cut.Chain));
        Chains.AssertComputes(cut.Chain, model, batch, tensors => model.call(tensors[0]));
        delayed.MoveToMemory();
        Chains.AssertComputes(cut.Chain, model, batch, tensors => model.call(tensors[0]));
    }

    private static PipelineCut Alone(Module model, IReadOnlyList<Tensor> batch, PartitionRequest request) =>
        ModelPartitioner.Cut(model, batch, request, new SoloProcessGroup("test", 0), new Lock());

    private static T Build<T>(Lock gate, Func<T> create)
    {
        lock (gate)
        {
            manual_seed(1);
            return create();
        }
    }

    private sealed class NeverRun() : Module<Tensor, Tensor>(nameof(NeverRun))
    {
        public override Tensor forward(Tensor input) => throw new InvalidOperationException("It was run.");
    }

    private sealed class Broken : Module<Tensor, Tensor>
    {
        private readonly Linear _first = Linear(4, 4);
        private readonly Linear _second = Linear(4, 4);
        private readonly Linear _third = Linear(4, 4);

        public Broken()
            : base(nameof(Broken)) => RegisterComponents();

        public override Tensor forward(Tensor input) => _third.call(functional.relu(_second.call(functional.relu(_first.call(input))))) + input;
    }

    private sealed class Reaching(Func<Parameter> reach) : Module<Tensor, Tensor>(nameof(Reaching))
    {
        public override Tensor forward(Tensor input) => input * reach();
    }

    private sealed class Holding : Module<Tensor, Tensor>
    {
        public Holding(Parameter held)
            : base(nameof(Holding)) => register_parameter("held", held);

        public override Tensor forward(Tensor input) => input * get_parameter("held")!;
    }
}
