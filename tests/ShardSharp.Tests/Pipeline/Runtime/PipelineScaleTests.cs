using ShardSharp.Testing;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Pipeline.Runtime;

/// <summary>Two stages of one parameter each, worked out by hand.</summary>
public sealed class PipelineScaleTests
{
    /// <summary>The loss of a sample (x, y) is (v u x - y)^2 at u = 2, v = 1, whose derivatives are 2 v x (v u x - y) and 2 u x (v u x - y):
    /// of (1, 0): 4 and 8; of (2, 1): 12 and 24; of (1, 3): -2 and -4; of (3, -1): 42 and 84. Their means are 14 and 28.</summary>
    [Theory]
    [InlineData(PipelineScheduleKind.Simple, 1, true)]
    [InlineData(PipelineScheduleKind.Interleaved, 2, true)]
    [InlineData(PipelineScheduleKind.ZeroBubbleH1, 4, true)]
    [InlineData(PipelineScheduleKind.Interleaved, 4, false)]
    public void Gradients_are_those_of_the_mean_over_all_samples(PipelineScheduleKind kind, int microbatches, bool average) =>
        RankHarness.RunSessions(
            2,
            session =>
            {
                using var outer = NewDisposeScope();
                using var model = session.DistributedModel(Create);
                using var output = model.Step(
                    tensor(new float[,] { { 1 }, { 2 }, { 1 }, { 3 } }), tensor(new float[,] { { 0 }, { 1 }, { 3 }, { -1 } }),
                    (value, label) => (value - label).pow(2).mean());

                Assert.Equal((4 + 9 + 1 + 49) / 4.0, output.ReduceMean(), 1e-6);
                Assert.Equal(microbatches, output.Outputs.Count);
                var (name, parameter) = Assert.Single(model.NamedParameters);
                Assert.Equal(session.Rank == 0 ? "0.weight" : "1.weight", name);
                Assert.Equal((session.Rank == 0 ? 14f : 28f) * (average ? 1 : microbatches), parameter.grad!.item<float>());
            },
            new ParallelConfiguration
            {
                PipelineParallelDegree = 2, Pipeline = kind, Microbatches = microbatches, AverageGradientsAcrossMicrobatches = average,
            });

    /// <summary>The same samples, of which the second microbatch counts three times the first.</summary>
    [Fact]
    public void Weighted_losses_give_the_gradient_of_the_weighted_mean() => RankHarness.RunSessions(
        2,
        session =>
        {
            using var outer = NewDisposeScope();
            using var model = session.DistributedModel(Create);
            using var output = model.Step(
                [tensor(new float[,] { { 1 }, { 2 }, { 1 }, { 3 } })], [tensor(new float[,] { { 0 }, { 1 }, { 3 }, { -1 } }), tensor([1.0, 1.0, 3.0, 3.0])],
                (outputs, labels) => (outputs[0] - labels[0]).pow(2).mean(),
                new StepOptions { Weight = labels => labels[1].mean().item<double>() });

            Assert.Equal(((6.5 * 1) + (25 * 3)) / 4, output.ReduceMean(), 1e-6);
            var parameter = Assert.Single(model.Parameters);
            Assert.Equal(session.Rank == 0 ? ((8 * 1) + (20 * 3)) / 4f : ((16 * 1) + (40 * 3)) / 4f, parameter.grad!.item<float>(), 1e-4);
        },
        new ParallelConfiguration { PipelineParallelDegree = 2, Microbatches = 2 });

    private static nn.Module<Tensor, Tensor> Create()
    {
        var (first, second) = (nn.Linear(1, 1, hasBias: false), nn.Linear(1, 1, hasBias: false));
        using (no_grad())
        {
            first.weight!.fill_(2);
            second.weight!.fill_(1);
        }

        return nn.Sequential(("0", first), ("1", second));
    }
}
