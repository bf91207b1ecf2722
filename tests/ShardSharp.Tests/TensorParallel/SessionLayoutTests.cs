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
        ["tensor", "tensor x data", "tensor x sharded", "tensor x optimizer state", "microbatches", "delayed", "spread"], [false, true]);

    /// <summary>By an automatic plan, or one with sequences and logits divided.</summary>
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
                Assert.All(parameters, own => Assert.True(allclose(expected[own.Key], own.Value, 1e-4, 1e-5), own.Key));
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

    /// <summary>Losses, and the parameters at the end, in which this rank's parts are what it trained.</summary>
    private static (double[] Losses, Dictionary<string, Tensor> Parameters) Train(Session session, Func<TinyModel, TensorParallelPlan>? plan)
    {
        using var model = session.DistributedModel(() => Randoms.Filled(new TinyModel(new TinyShape())), plan: plan);
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
        return (losses, model.Module.named_parameters().ToDictionary(named => named.name, named => Undivided(named.name, named.parameter)));

        // The parts of other ranks are taken to be right here; those ranks look at them.
        Tensor Undivided(string name, Tensor own)
        {
            var layout = model.Layouts.Of(name, own);
            if (session.Groups.Tensor.Size == 1 || layout.IsWhole)
                return own.detach().to_type(ScalarType.Float32).clone();
            var whole = Alone.Value.Parameters[name].clone();
            var start = 0L;
            foreach (var range in layout.Ranges)
            {
                using var target = whole.narrow(layout.DividedDimension!.Value, range.Start, range.Length);
                target.copy_(own.detach().narrow(layout.DividedDimension.Value, start, range.Length));
                start += range.Length;
            }

            return whole;
        }
    }
}
