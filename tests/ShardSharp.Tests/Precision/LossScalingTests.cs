using ShardSharp.Precision;
using ShardSharp.Testing;
using ShardSharp.Tests.Checkpoints;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Precision;

/// <summary>Overflows in float16 training: every rank decides the same, and nothing is updated.</summary>
public sealed class LossScalingTests
{
    public static TheoryData<string, int, string> Layouts { get; } = new MatrixTheoryData<string, int, string>(
        ["replicated", "state", "gradients", "parameters", "hybrid"], [2, 4], ["threads", "shared memory", "hosts"]);

    private static (bool Overflows, double ScaleAfter)[] Course { get; } = [(false, 1024), (true, 512), (false, 512), (false, 1024), (false, 1024)];

    [Theory]
    [MemberData(nameof(Layouts))]
    public void An_overflow_on_one_rank_skips_the_step_on_all(string layout, int ranks, string between) => RankHarness.RunSessions(
        ranks,
        session =>
        {
            using var model = session.DistributedModel(Doubling);
            using var optimizer = session.DistributedOptimizer(
                model, parameters => optim.SGD(parameters, 1), lossScaling: new LossScaling { InitialScale = 1024, ScaleWindow = 2 });
            foreach (var (overflows, scale) in Course)
            {
                var before = Values(session, model);
                optimizer.zero_grad();
                var input = full([1, 3], overflows && session.Rank == ranks - 1 ? 30000.0 : 0.25, ScalarType.Float32);
                model.Step([input], (module, batch) => module.call(batch[0]).sum()).Dispose();
                optimizer.step();

                Assert.Equal(overflows, optimizer.LossScaler!.Overflow);
                Assert.Equal(scale, optimizer.LossScaler.Scale);
                Assert.Equal(before.Select(value => overflows ? value : value - 0.25f), Values(session, model));
            }

            session.Groups.World.Barrier();
        },
        MixedTraining.Layout(layout, ranks) with { Float16 = true },
        MixedTraining.Between(between, ranks));

    [Fact]
    public void Gradients_are_what_they_are_without_scale() => RankHarness.RunSessions(
        1,
        session =>
        {
            // Smaller than float16's smallest number, 2^-24, unless it is scaled.
            foreach (var scaling in new[] { LossScaling.Static(65536), LossScaling.Static(1) })
            {
                using var model = session.DistributedModel(Doubling);
                using var optimizer = session.DistributedOptimizer(model, parameters => optim.SGD(parameters, 1), lossScaling: scaling);
                model.Step([ones(1, 3)], (module, batch) => module.call(batch[0]).sum() * Math.Pow(2, -30)).Dispose();
                var gradient = model.Parameters.Single().grad!.data<float>().ToArray();
                Assert.All(gradient, value => Assert.Equal(scaling.InitialScale == 1 ? 0 : MathF.Pow(2, -30), value));
            }
        },
        new ParallelConfiguration { Float16 = true });

    [Fact]
    public void Clipping_by_hand_leaves_an_overflow_to_the_step() => RankHarness.RunSessions(
        2,
        session =>
        {
            using var model = session.DistributedModel(Doubling);
            using var optimizer = session.DistributedOptimizer(model, parameters => optim.SGD(parameters, 1));
            Assert.Equal(LossScaling.Dynamic.InitialScale, optimizer.LossScaler!.Scale);
            model.Step([ones(1, 3)], (module, batch) => module.call(batch[0]).sum()).Dispose();
            Assert.False(double.IsFinite(optimizer.ClipGradients(1)));
            optimizer.step();
            Assert.True(optimizer.LossScaler.Overflow);
            Assert.Equal([2, 2, 2], Values(session, model));
        },
        new ParallelConfiguration { Float16 = true, ShardedDataParallelDegree = 2 });

    [Fact]
    public void What_makes_no_sense_is_refused()
    {
        RankHarness.RunSessions(
            1,
            session =>
            {
                using var model = session.DistributedModel(Doubling);
                var failure = Assert.Throws<ArgumentException>(() => session.DistributedOptimizer(
                    model, parameters => optim.SGD(parameters, 1), lossScaling: LossScaling.Dynamic));
                Assert.Contains("fp16", failure.Message, StringComparison.Ordinal);
            },
            new ParallelConfiguration { BFloat16 = true });
        RankHarness.RunSessions(
            1,
            session =>
            {
                using var model = session.DistributedModel(Doubling);
                using (session.DistributedOptimizer(model, parameters => optim.SGD(parameters, 1)))
                    Assert.Throws<InvalidOperationException>(() => session.DistributedOptimizer(model, parameters => optim.SGD(parameters, 1)));
                using var second = session.DistributedOptimizer(model, parameters => optim.SGD(parameters, 1));
                Assert.NotNull(second.LossScaler);
            },
            new ParallelConfiguration { Float16 = true });
    }

    /// <summary>Checkpoints keep the scale of each model under its number, and give it back to no other.</summary>
    [Fact]
    public void A_model_that_is_resumed_alone_gets_its_own_scale()
    {
        using var folder = new TemporaryFolder();
        foreach (var save in (bool[])[true, false])
        {
            RankHarness.RunSessions(
                1,
                session =>
                {
                    using var first = session.DistributedModel(Doubling);
                    using var second = session.DistributedModel(Doubling);
                    using var one = session.DistributedOptimizer(first, parameters => optim.SGD(parameters, 1), lossScaling: Starting(save ? 8 : 2));
                    using var other = session.DistributedOptimizer(second, parameters => optim.SGD(parameters, 1), lossScaling: Starting(save ? 16 : 2));
                    if (save)
                    {
                        session.SaveCheckpoint(folder.Path);
                        return;
                    }

                    session.ResumeFromCheckpoint(folder.Path, model: second);
                    Assert.Equal((2, 16), (one.LossScaler!.Scale, other.LossScaler!.Scale));
                    session.ResumeFromCheckpoint(folder.Path);
                    Assert.Equal((8, 16), (one.LossScaler.Scale, other.LossScaler.Scale));
                },
                new ParallelConfiguration { Float16 = true });
        }

        static LossScaling Starting(double scale) => LossScaling.Dynamic with { InitialScale = scale };
    }

    /// <summary>The sum of three inputs, each times 2.</summary>
    private static nn.Module<Tensor, Tensor> Doubling()
    {
        var linear = nn.Linear(3, 1, hasBias: false);
        using var _ = no_grad();
        linear.weight!.fill_(2);
        return linear;
    }

    /// <summary>The masters of all ranks that share them.</summary>
    private static float[] Values(Session session, DistributedModel model) =>
    [
        .. session.Groups.Shard.AllGatherObject(model.Parameters.Single().detach().flatten().data<float>().ToArray()).SelectMany(part => part),
    ];
}
