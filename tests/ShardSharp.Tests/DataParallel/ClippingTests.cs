using ShardSharp.Testing;
using ShardSharp.Topology;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel;

/// <summary>Gradients clipped by their norm over all shards train as on one rank.</summary>
public sealed class ClippingTests
{
    private const int Steps = 4;
    private const double Maximum = 0.05;

    public static TheoryData<int, string> Layouts { get; } = new MatrixTheoryData<int, string>([1, 2, 4], ["none", "state", "shard", "hybrid"]);

    [Theory]
    [MemberData(nameof(Layouts))]
    public void In_the_optimizers_step_or_before_it(int ranks, string layout)
    {
        var (norms, weights) = TrainAlone();
        var configuration = Configuration(ranks, layout);
        foreach (var automatic in new[] { false, true })
        {
            RankHarness.RunSessions(
                ranks,
                session =>
                {
                    using var model = session.DistributedModel(Model);
                    using var optimizer = session.DistributedOptimizer(model, Optimizer);
                    for (var step = 0; step < Steps; step++)
                    {
                        optimizer.zero_grad();
                        model.Step(Trial<nn.Module>.ShareOf(Batch(step), session), Loss).Dispose();
                        if (!automatic)
                            Assert.Equal(norms[step], optimizer.ClipGradients(Maximum), norms[step] * 1e-5);
                        optimizer.step();
                    }

                    using (model.GatherParameters())
                    {
                        foreach (var (expected, actual) in weights.Zip(model.Module.parameters()))
                            Assert.True(actual.allclose(expected, 1e-5, 1e-6));
                    }

                    session.Groups.World.Barrier();
                },
                automatic ? configuration with { ShardedGradientClipping = Maximum } : configuration,
                new RankHarnessOptions { Delays = new DelayInjection(ranks) });
        }
    }

    [Theory]
    [InlineData(1, "none")]
    [InlineData(2, "none")]
    [InlineData(2, "shard")]
    public void Gradients_that_are_no_numbers_are_an_error_on_every_rank(int ranks, string layout) =>
        RankHarness.RunSessions(
            ranks,
            session =>
            {
                using var model = session.DistributedModel(Model);
                using var optimizer = session.DistributedOptimizer(model, Optimizer);
                model.Step(
                    Trial<nn.Module>.ShareOf(Batch(0), session), (module, batch) => Loss(module, batch) * (session.Rank == 0 ? float.NaN : 1)).Dispose();
                var failure = Assert.Throws<InvalidOperationException>(() => optimizer.ClipGradients(Maximum));
                Assert.Contains("NaN", failure.Message, StringComparison.Ordinal);
                if (layout == "none")
                    Assert.Contains("'0.weight', 4 in all", failure.Message, StringComparison.Ordinal);
                Assert.True(double.IsNaN(optimizer.ClipGradients(Maximum, errorIfNonFinite: false)));
            },
            Configuration(ranks, layout));

    [Fact]
    public void What_makes_no_sense_is_refused() => RankHarness.RunSessions(
        1,
        session =>
        {
            using var model = session.DistributedModel(Model);
            using var optimizer = session.DistributedOptimizer(model, Optimizer);
            Assert.Throws<ArgumentOutOfRangeException>(() => optimizer.ClipGradients(0));
            Assert.Throws<ArgumentOutOfRangeException>(() => optimizer.ClipGradients(double.NaN));
            using (model.AccumulateGradients())
                model.Step(Batch(0), Loss).Dispose();
            Assert.Throws<InvalidOperationException>(() => optimizer.ClipGradients(1));
        });

    private static (double[] Norms, Tensor[] Weights) TrainAlone()
    {
        using var module = Model();
        using var optimizer = Optimizer(module.parameters());
        var norms = new double[Steps];
        for (var step = 0; step < Steps; step++)
        {
            using var scope = NewDisposeScope();
            foreach (var parameter in module.parameters())
                parameter.grad = null;
            Loss(module, Batch(step)).backward();
            norms[step] = nn.utils.clip_grad_norm_(module.parameters(), Maximum);
            Assert.True(norms[step] > 2 * Maximum, $"norm {norms[step]} is hardly clipped");
            optimizer.step();
        }

        return (norms, [.. module.parameters().Select(parameter => parameter.detach().clone())]);
    }

    private static ParallelConfiguration Configuration(int ranks, string layout) => layout switch
    {
        "state" => new ParallelConfiguration { ShardOptimizerState = true },
        "shard" => new ParallelConfiguration { ShardedDataParallelDegree = ranks },
        "hybrid" => new ParallelConfiguration { ShardedDataParallelDegree = Math.Max(ranks / 2, 1) },
        _ => new ParallelConfiguration(),
    };

    private static nn.Module<Tensor, Tensor> Model() =>
        Randoms.Filled<nn.Module<Tensor, Tensor>>(nn.Sequential(nn.Linear(6, 17), nn.Tanh(), nn.Linear(17, 3)));

    private static SGD Optimizer(IEnumerable<Parameter> parameters) => optim.SGD(parameters, 0.5, momentum: 0.9);

    private static Tensor[] Batch(int step) => [Randoms.Normal(step, 8, 6), Randoms.Normal(100 + step, 8, 3)];

    private static Tensor Loss(nn.Module<Tensor, Tensor> module, IReadOnlyList<Tensor> batch) => nn.functional.mse_loss(module.call(batch[0]), batch[1]);
}
