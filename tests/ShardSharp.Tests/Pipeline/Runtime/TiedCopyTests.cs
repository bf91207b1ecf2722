using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Pipeline.Runtime;

/// <summary>One parameter on the first stage and the last trains as it would on one rank, and its gradient counts once in the norm.</summary>
public sealed class TiedCopyTests
{
    private static readonly PipelineTrial Tied = new(
        () =>
        {
            var (first, last) = (nn.Linear(6, 6), nn.Linear(6, 6, hasBias: false));
            last.weight = first.weight;
            return nn.Sequential(first, nn.Tanh(), nn.Linear(6, 24), nn.GELU(), nn.Linear(24, 6), last);
        },
        step => (Randoms.Normal(step, 16, 6), Randoms.Normal(100 + step, 16, 6)),
        (output, labels) => nn.functional.mse_loss(output, labels));

    [Theory]
    [InlineData(2, 2, PipelineScheduleKind.Interleaved, 1, false)]
    [InlineData(3, 3, PipelineScheduleKind.ZeroBubbleH1, 2, false)]
    [InlineData(2, 2, PipelineScheduleKind.ZeroBubbleV, 1, false)]
    [InlineData(4, 2, PipelineScheduleKind.InterleavedDividedDrain, 2, true)]
    [InlineData(4, 2, PipelineScheduleKind.Interleaved, 2, false)]
    [InlineData(4, 2, PipelineScheduleKind.Interleaved, 2, true)]
    public void Trains_as_on_one_rank(int ranks, int stages, PipelineScheduleKind kind, int passes, bool shardsState) =>
        (Tied with { Passes = passes }).MustEqualPlainTraining(
            ranks,
            new ParallelConfiguration
            {
                PipelineParallelDegree = stages, Pipeline = kind, Microbatches = 4, SplitTiedParameters = true, ShardOptimizerState = shardsState,
            });

    [Fact]
    public void Gradients_that_are_not_zeroed_add_up_as_on_one_rank()
    {
        var expected = Gradients(1, new ParallelConfiguration());
        var tied = Gradients(2, new ParallelConfiguration { PipelineParallelDegree = 2, Microbatches = 2, SplitTiedParameters = true });

        Assert.All(expected, pair => Assert.Equal(pair.Value, tied[pair.Key], 1e-5));

        static SortedDictionary<string, double> Gradients(int ranks, ParallelConfiguration configuration)
        {
            var found = new SortedDictionary<string, double>(StringComparer.Ordinal);
            RankHarness.RunSessions(
                ranks,
                session =>
                {
                    using var outer = NewDisposeScope();
                    using var model = session.DistributedModel(() => Randoms.Filled(Tied.Create()));
                    for (var step = 0; step < 2; step++)
                    {
                        var (inputs, labels) = Tied.Batch(step);
                        model.Step(inputs, labels, Tied.Loss);
                    }

                    lock (found)
                    {
                        foreach (var (name, parameter) in model.NamedParameters)
                            found[name] = parameter.grad!.norm().item<float>();
                    }
                },
                configuration);
            return found;
        }
    }
}
