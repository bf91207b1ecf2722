using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Steps;

/// <summary>Steps of values that consist of tensors give on any layout of ranks what plain TorchSharp gives.</summary>
public sealed class StructuredStepTests
{
    private const int Samples = 8;

    [Theory]
    [InlineData(1, 1, 4, PipelineScheduleKind.Interleaved)]
    [InlineData(2, 1, 2, PipelineScheduleKind.Interleaved)]
    [InlineData(2, 2, 4, PipelineScheduleKind.Interleaved)]
    [InlineData(4, 2, 2, PipelineScheduleKind.ZeroBubbleH1)]
    public void Records_tuples_and_dictionaries_are_cut_passed_and_put_together(int ranks, int stages, int count, PipelineScheduleKind kind)
    {
        using var outer = NewDisposeScope();
        var (inputs, labels) = Batch();
        using var alone = Randoms.Filled(new Net());
        var expected = Score(alone.call(inputs), labels);
        expected.Loss.backward();
        var gradients = alone.named_parameters().ToDictionary(named => named.name, named => named.parameter.grad!);

        RankHarness.RunSessions(
            ranks,
            session =>
            {
                using var scope = NewDisposeScope();
                using var model = session.DistributedModel(() => Randoms.Filled(new Net()), example: () => Part(Batch().Inputs, 0, 2));
                var copies = session.Groups.ReducedData;
                var share = Samples / copies.Size;
                using var output = model.Step(
                    Part(inputs, copies.Rank * share, share), Part(labels, copies.Rank * share, share), (Output outputs, Labels own) => Score(outputs, own),
                    new StepOptions { WholeNames = ["batch.Scales.scale"], NamedSplitDimensions = new Dictionary<string, int> { ["labels.Weights"] = 1 } });

                Assert.Equal(count, output.Outputs.Count);
                var whole = output.Concat();
                Assert.Equal([count], whole.Loss.shape);
                Assert.Equal("mean of squares", whole.Kind);
                Assert.True(whole.Parts["hidden"].Values.allclose(expected.Parts["hidden"].Values.narrow(0, copies.Rank * share, share), atol: 1e-6));
                Assert.Equal([count, share / count, 3], output.Stack().Parts["hidden"].Values.shape);
                Assert.Equal((double)share, output.ReduceSum().Count.item<long>());
                Assert.Equal((float)share / count, output.ReduceMean().Count.item<float>());
                Assert.Equal(
                    expected.Loss.item<float>(), session.MeanOverDataRanks(output.ReduceMean().Loss.item<float>()), 1e-5);
                Assert.All(model.NamedParameters, named => Assert.True(gradients[named.Name].allclose(named.Parameter.grad!, atol: 1e-5)));

                model.Evaluate();
                var evaluated = model.Forward(
                    Part(inputs, 0, share), (Part(labels, 0, share), "text"),
                    (IReadOnlyList<Tensor> outputs, (Labels Own, string Text) given) => (outputs[0], new[] { given.Own.Targets }, given.Text),
                    new StepOptions { WholeNames = ["batch.Scales.scale"], NamedSplitDimensions = new Dictionary<string, int> { ["labels.Item1.Weights"] = 1 } });
                var (hidden, targets, text) = evaluated.Concat();
                Assert.True(hidden.allclose(expected.Parts["hidden"].Values.narrow(0, 0, share), atol: 1e-6));
                Assert.True(targets[0].equal(labels.Targets.narrow(0, 0, share)).all().item<bool>());
                Assert.Equal("text", text);
            },
            new ParallelConfiguration { PipelineParallelDegree = stages, Microbatches = count, Pipeline = kind });
    }

    [Fact]
    public void A_loss_that_is_not_the_first_tensor_is_chosen() => RankHarness.RunSessions(
        2,
        session =>
        {
            using var scope = NewDisposeScope();
            using var model = session.DistributedModel(() => Randoms.Filled(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3))));
            using var output = model.Step(
                Randoms.Normal(1, 4, 4), Randoms.Normal(2, 4, 3), (Tensor logits, Tensor target) => (Logits: logits, Loss: (logits - target).pow(2).mean()),
                lossOf: result => result.Loss);

            Assert.Equal([4, 3], output.Concat().Logits.shape);
            Assert.All(model.Parameters, parameter => Assert.NotNull(parameter.grad));
        },
        new ParallelConfiguration { PipelineParallelDegree = 2, Microbatches = 2 });

    [Fact]
    public void What_does_not_fit_is_refused_with_what_would() => RankHarness.RunSessions(
        1,
        session =>
        {
            using var scope = NewDisposeScope();
            using var model = session.DistributedModel(() => new Net());
            var (inputs, labels) = Batch();
            var options = new StepOptions { WholeNames = ["batch.Scales.scale"], NamedSplitDimensions = new Dictionary<string, int> { ["labels.Weights"] = 1 } };

            Assert.Contains(
                "There are: batch.Rows, batch.Scales.scale, labels.Targets, labels.Weights", Refusal<ArgumentException>(() =>
                    model.Step(inputs, labels, (Output _, Labels _) => zeros(1), options with { WholeNames = ["batch.Scale"] })), StringComparison.Ordinal);
            Assert.Contains(
                "Net is called with 1 arguments (Input batch); batch was given a Tensor",
                Refusal<ArgumentException>(() => model.Step(inputs.Rows, labels, (Output _, Labels _) => zeros(1))), StringComparison.Ordinal);
            Assert.Contains(
                "Net returned a Output; the step's function takes a Tensor",
                Refusal<InvalidOperationException>(() => model.Step(inputs, labels, (Tensor output, Labels _) => output, options)), StringComparison.Ordinal);
            Assert.Contains(
                "has a MemoryStream in it",
                Refusal<ArgumentException>(() => model.Step(inputs, new MemoryStream(), (Output _, MemoryStream _) => zeros(1))), StringComparison.Ordinal);
        },
        new ParallelConfiguration { Microbatches = 2 });

    [Fact]
    public void In_a_pipeline_what_lies_between_tensors_must_be_as_in_the_example_and_results_must_travel() => RankHarness.RunSessions(
        2,
        session =>
        {
            using var scope = NewDisposeScope();
            using var model = session.DistributedModel(() => new Net(), example: () => Part(Batch().Inputs, 0, 2));
            var (inputs, labels) = Batch();
            Assert.Contains("[1] was", Refusal<ArgumentException>(() => model.Step(
                inputs with { Scales = new Dictionary<string, Tensor> { ["other"] = ones(3) } }, labels, (Output _, Labels _) => zeros(1))), StringComparison.Ordinal);
        },
        new ParallelConfiguration { PipelineParallelDegree = 2, Microbatches = 2 });

    private static string Refusal<TException>(Action step)
        where TException : Exception => Assert.Throws<TException>(step).Message;

    private static (Input Inputs, Labels Labels) Batch() => (
        new Input(Randoms.Normal(1, Samples, 4), new Dictionary<string, Tensor> { ["scale"] = Randoms.Normal(2, 3) }),
        new Labels(Randoms.Normal(3, Samples, 3), Randoms.Normal(4, 1, Samples).abs()));

    private static Input Part(Input inputs, long start, long length) => inputs with { Rows = inputs.Rows.narrow(0, start, length) };

    private static Labels Part(Labels labels, long start, long length) =>
        new(labels.Targets.narrow(0, start, length), labels.Weights.narrow(1, start, length));

    private static Score Score(Output output, Labels labels) => new(
        ((output.Hidden - labels.Targets).pow(2) * labels.Weights.transpose(0, 1)).mean() + output.Penalty.mean(),
        new Dictionary<string, Column> { ["hidden"] = new(output.Hidden) }, tensor(output.Hidden.shape[0]), "mean of squares");

    public sealed record Input(Tensor Rows, Dictionary<string, Tensor> Scales);

    public sealed record Labels(Tensor Targets, Tensor Weights);

    public sealed record Output(Tensor Hidden, Tensor Penalty);

    public sealed class Net : nn.Module<Input, Output>
    {
        private readonly Opening _first = new();
        private readonly Middle _second = new();
        private readonly Ending _third = new();

        public Net()
            : base(nameof(Net)) => RegisterComponents();

        public override Output forward(Input batch)
        {
            var (hidden, gates) = _first.call(batch);
            return _third.call(_second.call(hidden, gates), gates);
        }
    }

    private sealed class Opening : nn.Module<Input, (Tensor, List<Tensor>)>
    {
        private readonly TorchSharp.Modules.Linear _linear = nn.Linear(4, 3);

        public Opening()
            : base(nameof(Opening)) => RegisterComponents();

        public override (Tensor, List<Tensor>) forward(Input input)
        {
            var rows = _linear.call(input.Rows) * input.Scales["scale"];
            return (rows, [rows.sigmoid(), rows.tanh()]);
        }
    }

    private sealed class Middle : nn.Module<Tensor, List<Tensor>, Tensor>
    {
        private readonly TorchSharp.Modules.Linear _linear = nn.Linear(3, 3);

        public Middle()
            : base(nameof(Middle)) => RegisterComponents();

        public override Tensor forward(Tensor hidden, List<Tensor> gates) => _linear.call(hidden * gates[0]);
    }

    private sealed class Ending : nn.Module<Tensor, List<Tensor>, Output>
    {
        private readonly TorchSharp.Modules.Linear _linear = nn.Linear(3, 3);

        public Ending()
            : base(nameof(Ending)) => RegisterComponents();

        public override Output forward(Tensor hidden, List<Tensor> gates) => new(_linear.call(hidden + gates[1]), hidden.pow(2));
    }
}

public sealed record Column(Tensor Values);

public sealed record Score(Tensor Loss, Dictionary<string, Column> Parts, Tensor Count, string Kind);
