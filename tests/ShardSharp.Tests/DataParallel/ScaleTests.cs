using ShardSharp.Testing;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel;

/// <summary>One parameter, two ranks, two microbatches, worked out by hand.</summary>
public sealed class ScaleTests
{
    [Theory]
    [InlineData(true, 1 - (0.125 * 7.5))]
    [InlineData(false, 1 - (0.125 * 15))]
    public void Gradient_is_that_of_the_mean_over_all_samples(bool average, double expected) => RankHarness.RunSessions(
        2,
        session =>
        {
            using var model = session.DistributedModel(() => nn.Linear(1, 1, hasBias: false));
            using (no_grad())
                model.Module.weight!.fill_(1);
            using var optimizer = session.DistributedOptimizer(model, parameters => optim.SGD(parameters, 0.125));

            // The loss of a sample (x, y) is (w x - y)^2 with derivative 2 x (w x - y), at w = 1:
            //   rank 0: (1, 0): 1 with 2, (2, 0): 4 with 8; rank 1: (1, 3): 4 with -4, (3, -1): 16 with 24. Mean derivative 30 / 4.
            var inputs = session.Rank == 0 ? tensor(new float[,] { { 1 }, { 2 } }) : tensor(new float[,] { { 1 }, { 3 } });
            var labels = session.Rank == 0 ? tensor(new float[,] { { 0 }, { 0 } }) : tensor(new float[,] { { 3 }, { -1 } });
            var loss = model.Step(inputs, labels, (output, label) => (output - label).pow(2).mean());
            optimizer.step();

            Assert.Equal(session.Rank == 0 ? [1.0, 4.0] : [4.0, 16.0], loss.Outputs.Select(output => (double)output.item<float>()));
            Assert.Equal((1 + 4 + 4 + 16) / 4.0, session.MeanOverDataRanks(loss.ReduceMean()));
            Assert.Equal((float)expected, model.Module.weight!.item<float>());
        },
        new ParallelConfiguration { Microbatches = 2, AverageGradientsAcrossMicrobatches = average });
}
