using ShardSharp.Testing;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel;

/// <summary>Gradients of several steps before one update. Numbers are small enough to follow by hand.</summary>
public sealed class AccumulationTests
{
    /// <summary>On rank r the gradient of the loss w·x is the mean of the samples x: r + 1, 10(r + 1), 100(r + 1) in steps 0, 1, 2.</summary>
    private static double Sample(Session session, int step) => (session.Rank + 1) * Math.Pow(10, step);

    [Fact]
    public void Averages_the_sum_of_steps_once() => Run(
        (session, model, gradient) =>
        {
            using (model.AccumulateGradients())
            {
                StepOn(model, Sample(session, 0));
                Assert.Equal(session.Rank + 1, gradient());
                StepOn(model, Sample(session, 1));
                Assert.Equal(11 * (session.Rank + 1), gradient());
            }

            StepOn(model, Sample(session, 2));
            Assert.Equal(111 * 1.5, gradient());
        });

    [Fact]
    public void Holds_back_until_the_outermost_ends() => Run(
        (session, model, gradient) =>
        {
            using (model.AccumulateGradients())
            {
                using (model.AccumulateGradients())
                    StepOn(model, Sample(session, 0));
                StepOn(model, Sample(session, 1));
                Assert.Equal(11 * (session.Rank + 1), gradient());
            }

            StepOn(model, Sample(session, 2));
            Assert.Equal(111 * 1.5, gradient());
        });

    [Fact]
    public void Happens_by_itself_with_backward_passes_per_step() => Run(
        (session, model, gradient) =>
        {
            for (var update = 0; update < 2; update++)
            {
                model.ZeroGradients();
                StepOn(model, Sample(session, 0));
                StepOn(model, Sample(session, 1));
                Assert.Equal(11 * (session.Rank + 1), gradient());
                StepOn(model, Sample(session, 2));
                Assert.Equal(111 * 1.5, gradient());
            }
        },
        new ParallelConfiguration { BackwardPassesPerStep = 3 });

    [Theory]
    [InlineData(true, 1.5)]
    [InlineData(false, 2 * 1.5)]
    public void Takes_the_mean_or_the_sum_of_microbatches(bool average, double expected) => Run(
        (session, model, gradient) =>
        {
            StepOn(model, Sample(session, 0));
            Assert.Equal(expected, gradient());
        },
        new ParallelConfiguration { Microbatches = 2, AverageGradientsAcrossMicrobatches = average });

    [Fact]
    public void Continues_from_averaged_gradients_that_were_kept() => Run(
        (session, model, gradient) =>
        {
            StepOn(model, Sample(session, 0));
            StepOn(model, Sample(session, 1));
            Assert.Equal(11 * 1.5, gradient());
        });

    [Fact]
    public void Refuses_to_update_from_the_gradients_of_one_rank() => RankHarness.RunSessions(
        2,
        session =>
        {
            using var model = session.DistributedModel(CreateSlope);
            using var optimizer = session.DistributedOptimizer(model, parameters => optim.SGD(parameters, 0.1));
            using (model.AccumulateGradients())
                StepOn(model, 1);
            var wrong = Assert.Throws<InvalidOperationException>(() => optimizer.step());
            Assert.Contains("backward_passes_per_step", wrong.Message, StringComparison.Ordinal);
            optimizer.zero_grad();
            StepOn(model, 1);
            optimizer.step();
            Assert.Equal(0.9, model.Module.weight!.item<float>(), 1e-6);
        });

    private static void Run(
        Action<Session, DistributedModel<TorchSharp.Modules.Linear>, Func<double>> program, ParallelConfiguration? configuration = null) =>
        RankHarness.RunSessions(
            2,
            session =>
            {
                using var model = session.DistributedModel(CreateSlope);
                program(session, model, () => model.Parameters.Single().grad!.item<float>());
            },
            configuration);

    private static void StepOn(DistributedModel<TorchSharp.Modules.Linear> model, double sample) =>
        model.Step([full(4, 1, sample)], (module, batch) => module.call(batch[0]).mean());

    private static TorchSharp.Modules.Linear CreateSlope()
    {
        var module = nn.Linear(1, 1, hasBias: false);
        nn.init.ones_(module.weight!);
        return module;
    }
}
