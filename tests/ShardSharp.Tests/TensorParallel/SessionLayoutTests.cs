using ShardSharp.TensorParallel;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel;

/// <summary>A session whose layers span ranks trains as one rank does, together with every other way to share out the work.</summary>
public sealed class SessionLayoutTests
{
    private const int Steps = 3;
    private const double LargestNorm = 0.05;

    private static readonly ParallelConfiguration Two = new() { TensorParallelDegree = 2, PrescaledBatch = true, Seed = 5 };

    private static readonly Lazy<(double[] Losses, Dictionary<string, Tensor> Parameters)> Alone = new(() =>
    {
        (double[], Dictionary<string, Tensor>) trained = default;
        RankHarness.RunSessions(1, session => trained = Train(session, plan: null), Two with { TensorParallelDegree = 1 });
        return trained;
    });

    public static TheoryData<string, bool> Layouts { get; } = new MatrixTheoryData<string, bool>(
        ["tensor", "tensor x data", "tensor x sharded", "tensor x optimizer state", "microbatches", "delayed", "spread", "tensor x pipeline"], [false, true]);

    /// <summary>By an automatic plan, or one with logits divided; with sequences divided, of a length that ranks do not divide.</summary>
    [Theory]
    [MemberData(nameof(Layouts))]
    public void Trains_as_one_rank_does(string layout, bool automatic)
    {
        var (expectedLosses, expected) = Alone.Value;
        var (ranks, configuration) = layout switch
        {
            "tensor" => (2, Two),
            "tensor x data" => (4, Two),
            "tensor x sharded" => (4, Two with { ShardedDataParallelDegree = 2 }),
            "tensor x optimizer state" => (4, Two with { ShardOptimizerState = true }),
            "microbatches" => (2, Two with { Microbatches = 2, OverlappingAllReduce = false }),
            "delayed" => (2, Two with { DelayedParameterInitialization = true }),
            "tensor x pipeline" => (4, Two with { PipelineParallelDegree = 2, Microbatches = 2 }),
            _ => (4, Two with { PlacementStrategy = "spread" }),
        };
        var shape = new TinyShape();
        RankHarness.RunSessions(
            ranks,
            session =>
            {
                using var scope = NewDisposeScope();
                var (losses, parameters) = Train(session, automatic ? null : _ => TinyModel.Plan(shape).WithSequenceParallelism().WithDividedLogits());
                Assert.All(expectedLosses.Zip(losses), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
                Assert.All(parameters.Where(own => own.Value.numel() > 0), own => Assert.True(allclose(expected[own.Key], own.Value, 1e-4, 1e-5), own.Key));
            },
            configuration);
    }

    [Fact]
    public void Rounded_types_stay_close() => RankHarness.RunSessions(
        4,
        session =>
        {
            using var scope = NewDisposeScope();
            var (losses, _) = Train(session, _ => TinyModel.Plan(new TinyShape()).WithSequenceParallelism());
            Assert.All(Alone.Value.Losses.Zip(losses), pair => Assert.Equal(pair.First, pair.Second, 3e-2));
        },
        Two with { BFloat16 = true });

    [Fact]
    public void An_optimizer_that_needs_all_parameters_is_refused() => RankHarness.RunSessions(
        2,
        session =>
        {
            using var model = session.DistributedModel(() => new TinyModel(new TinyShape()));
            Assert.Contains("LBFGS", Assert.Throws<NotSupportedException>(() => session.DistributedOptimizer(model, parameters => optim.LBFGS(parameters))).Message, StringComparison.Ordinal);
        },
        Two);

    /// <summary>Losses, and the whole parameters at the end.</summary>
    private static (double[] Losses, Dictionary<string, Tensor> Parameters) Train(Session session, Func<TinyModel, TensorParallelPlan>? plan)
    {
        using var model = session.DistributedModel(
            () => Randoms.Filled(new TinyModel(new TinyShape())), plan: plan, example: () => [zeros(2, 7, ScalarType.Int64)]);
        using var optimizer = session.DistributedOptimizer(model, parameters => optim.SGD(parameters, 0.5));
        var losses = new double[Steps];
        var ranks = session.Groups.ReducedData;
        for (var step = 0; step < Steps; step++)
        {
            using var scope = NewDisposeScope();
            var tokens = ((arange(4 * 8, ScalarType.Int64) * (step + 3)) % TinyModel.Vocabulary).reshape(4, 8).narrow(0, ranks.Rank * 4 / ranks.Size, 4 / ranks.Size);
            optimizer.zero_grad();
            using var output = model.Step(tokens.narrow(1, 0, 7), tokens.narrow(1, 1, 7), (logits, labels) => model.CrossEntropy(logits, labels));
            losses[step] = session.MeanOverDataRanks(output.ReduceMean());
            Assert.True(optimizer.ClipGradients(LargestNorm) > LargestNorm);
            optimizer.step();
        }

        using var gathered = model.GatherParameters();
        return (losses, model.Module.named_parameters().ToDictionary(named => named.name, named => named.parameter.detach().to_type(ScalarType.Float32).clone()));
    }
}
