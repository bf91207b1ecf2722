using ShardSharp.Precision;
using ShardSharp.TensorParallel.Layers;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel.Layers;

/// <summary>Distributed modules whose layers are on several stages train as one rank does, in both regimes.</summary>
[Collection(nameof(WholeProcess))]
public sealed class DistributedPipelineTests
{
    private const int Samples = 8;

    /// <summary>A label that does not count.</summary>
    private const long Ignored = -100;

    private static readonly Lazy<double[]> OneRank = new(() => Train(1, new ParallelConfiguration { Microbatches = 2 }, Model));

    private static readonly Lazy<double[]> ReplacedOnOneRank = new(() => Train(1, new ParallelConfiguration { Microbatches = 2 }, Replaced));

    public static TheoryData<int, bool, OptimizationGoal, PipelineScheduleKind> Layouts { get; } = new()
    {
        { 4, true, OptimizationGoal.Memory, PipelineScheduleKind.Interleaved },
        { 4, true, OptimizationGoal.Speed, PipelineScheduleKind.ZeroBubbleH1 },
        { 4, false, OptimizationGoal.Memory, PipelineScheduleKind.Simple },
        { 4, false, OptimizationGoal.Speed, PipelineScheduleKind.Interleaved },
        { 8, true, OptimizationGoal.Speed, PipelineScheduleKind.Interleaved },
        { 8, false, OptimizationGoal.Speed, PipelineScheduleKind.ZeroBubbleH1 },
    };

    [Theory]
    [MemberData(nameof(Layouts))]
    public void A_language_model_trains_as_on_one_rank(int ranks, bool prescaled, OptimizationGoal goal, PipelineScheduleKind kind) => MustEqual(
        OneRank.Value, Train(ranks, Configuration(prescaled, goal, kind), Model));

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void Replaced_modules_train_as_on_one_rank(bool prescaled, bool delayed) => MustEqual(
        ReplacedOnOneRank.Value,
        Train(
            4, Configuration(prescaled, OptimizationGoal.Speed, PipelineScheduleKind.Interleaved) with { DelayedParameterInitialization = delayed },
            Replaced));

    /// <summary>bfloat16 rounds each number to 8 bits: the losses of a few steps stay near those of float32.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void In_bfloat16_losses_follow_those_of_float32(bool prescaled)
    {
        var curve = Train(4, Configuration(prescaled, OptimizationGoal.Speed, PipelineScheduleKind.ZeroBubbleH1) with { BFloat16 = true }, Model);
        var losses = OneRank.Value.Zip(curve).Where((_, i) => i % 2 == 0).ToArray();
        Assert.All(losses, pair => Assert.Equal(pair.First, pair.Second, 0.03 * pair.First));
        Assert.Contains(losses, pair => pair.First != pair.Second);
    }

    /// <summary>float16 rounds to 11 bits: losses, and norms of gradients, which a scale of 256 keeps clear of its ends, stay within a hundredth.</summary>
    [Theory]
    [InlineData(true, PipelineScheduleKind.Interleaved)]
    [InlineData(false, PipelineScheduleKind.ZeroBubbleH1)]
    public void In_float16_losses_follow_those_of_float32(bool prescaled, PipelineScheduleKind kind)
    {
        var curve = Train(4, Configuration(prescaled, OptimizationGoal.Speed, kind) with { Float16 = true }, Model);
        Assert.All(OneRank.Value.Zip(curve), pair => Assert.Equal(pair.First, pair.Second, 0.01 * pair.First));
        Assert.Contains(OneRank.Value.Zip(curve), pair => pair.First != pair.Second);
    }

    /// <summary>The stages meet behind the attention of a layer.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_layer_may_be_cut(bool prescaled) => MustEqual(
        OneRank.Value,
        Train(
            4,
            Configuration(prescaled, OptimizationGoal.Speed, PipelineScheduleKind.Interleaved) with
            {
                AutoPartition = false,
                DefaultPartition = 0,
                PartitionPatterns = "**seq_layers.0._parts.1=1, **seq_layers.1**=1, **layernorm=1, **head=1",
            },
            Model));

    /// <summary>Ranks and microbatches have different numbers of labels that count.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Losses_may_count_by_their_labels(bool prescaled) => MustEqual(
        Train(1, new ParallelConfiguration { Microbatches = 2 }, Model, weighted: true),
        Train(4, Configuration(prescaled, OptimizationGoal.Memory, PipelineScheduleKind.Interleaved), Model, weighted: true));

    private static ParallelConfiguration Configuration(bool prescaled, OptimizationGoal goal, PipelineScheduleKind kind) => new()
    {
        PipelineParallelDegree = 2, TensorParallelDegree = 2, PrescaledBatch = prescaled, Optimize = goal, Pipeline = kind, Microbatches = 2,
        SplitTiedParameters = true, MemoryWeight = 1,
    };

    private static DistributedModel<DistributedTransformerLMHead> Model(Session session, Tensor example) => session.DistributedModel(
        () => new DistributedTransformerLMHead(DistributedTrainingTests.Options, session.TensorRanks), example: () => [example]);

    private static DistributedModel<Net> Replaced(Session session, Tensor example) => session.DistributedModel(
        () =>
        {
            var net = new Net();
            session.SetTensorParallelism(net);
            session.SetTensorParallelism(net.Head, false);
            return net;
        },
        example: () => [example]);

    private static void MustEqual(double[] expected, double[] curve)
    {
        Assert.Equal(expected.Length, curve.Length);
        Assert.All(expected.Zip(curve), pair => Assert.Equal(pair.First, pair.Second, 1e-5 * Math.Max(1, Math.Abs(pair.First))));
    }

    /// <summary>The losses, and the norms of all gradients, of four steps.</summary>
    private static double[] Train<TModule>(
        int ranks, ParallelConfiguration configuration, Func<Session, Tensor, DistributedModel<TModule>> create, bool weighted = false)
        where TModule : nn.Module
    {
        var curve = new List<double>();
        RankHarness.RunSessions(ranks, session =>
        {
            using var scope = NewDisposeScope();
            using var tokens = randint(11, [Samples, 9], generator: new Generator(7));
            using var model = create(session, tokens.narrow(0, 0, 2).narrow(1, 0, 8));
            using var optimizer = session.DistributedOptimizer(model, parameters => optim.AdamW(parameters, 1e-2), lossScaling: configuration.Float16 ? LossScaling.Static(256) : null);
            var copies = configuration.PrescaledBatch ? session.Groups.ReducedData : session.Groups.Data;
            var own = tokens.chunk(copies.Size, 0)[copies.Rank];
            Assert.True(configuration.PipelineParallelDegree == 1 || model.NamedParameters.Count() < model.Module.named_parameters().Count());
            var labels = own.narrow(1, 1, 8);
            if (weighted)
                labels = where(own.narrow(1, 0, 8).lt(4), full_like(labels, Ignored), labels);
            var options = weighted ? new StepOptions { Weight = given => given[0].ne(Ignored).sum().item<long>() } : null;
            for (var step = 0; step < 4; step++)
            {
                using var loss = model.Step(
                    [own.narrow(1, 0, 8)], [labels], (outputs, given) => model.CrossEntropy(outputs[0], given[0]), options);
                var norm = optimizer.ClipGradients(0.5);
                optimizer.step();
                optimizer.zero_grad();
                var mean = session.MeanOverDataRanks(loss.ReduceMean());
                if (session.IsFirstRank)
                    curve.AddRange([mean, norm]);
            }
        }, configuration);
        return [.. curve];
    }

    private sealed class Net : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _embedding = nn.Embedding(11, 8), _hidden = nn.Linear(8, 16), _more = nn.Linear(16, 8);
        private readonly nn.Module<Tensor, Tensor> _act = nn.GELU(), _head = nn.Linear(8, 11);

        public Net()
            : base(nameof(Net)) => RegisterComponents();

        public nn.Module Head => _head;

        public override Tensor forward(Tensor tokens) => _head.call(_more.call(_act.call(_hidden.call(_embedding.call(tokens)))));
    }
}
