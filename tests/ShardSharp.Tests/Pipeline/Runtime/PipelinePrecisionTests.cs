using ShardSharp.Precision;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Pipeline.Runtime;

/// <summary>Stages that compute in 16 bits train as one rank does that computes in the same type.</summary>
[Collection(nameof(WholeProcess))]
public sealed class PipelinePrecisionTests
{
    /// <summary>
    /// Stages round where one rank does, and masters add up the same numbers in the same order: not a bit differs. Norms are sums over ranks in another
    /// order, in float64.
    /// </summary>
    [Theory]
    [InlineData(false, PipelineScheduleKind.Interleaved, 1, false)]
    [InlineData(false, PipelineScheduleKind.ZeroBubbleH1, 2, false)]
    [InlineData(false, PipelineScheduleKind.Interleaved, 2, true)]
    [InlineData(true, PipelineScheduleKind.Interleaved, 2, false)]
    [InlineData(true, PipelineScheduleKind.ZeroBubbleH1, 1, false)]
    [InlineData(true, PipelineScheduleKind.ZeroBubbleV, 2, true)]
    public void Masters_have_the_bits_of_one_rank(bool float16, PipelineScheduleKind kind, int copies, bool shardsState) =>
        MustHaveTheBits(float16, kind, copies, shardsState, PipelineTrial.Layers, new ParallelConfiguration());

    /// <summary>A block that is cut is no unit of its own.</summary>
    [Theory]
    [InlineData(false, PipelineScheduleKind.ZeroBubbleH1, 2)]
    [InlineData(true, PipelineScheduleKind.Interleaved, 1)]
    public void So_have_those_of_a_block_that_is_cut(bool float16, PipelineScheduleKind kind, int copies) => MustHaveTheBits(
        float16, kind, copies, shardsState: false, PipelinePartTests.Blocks, PipelinePartTests.CutInABlock(2));

    private static void MustHaveTheBits(
        bool float16, PipelineScheduleKind kind, int copies, bool shardsState, PipelineTrial trial, ParallelConfiguration cut)
    {
        var configuration = new ParallelConfiguration
        {
            BFloat16 = !float16, Float16 = float16, Microbatches = 4, Pipeline = kind, ShardOptimizerState = shardsState,
        };
        var expected = Run(trial, copies, configuration with { Pipeline = PipelineScheduleKind.Interleaved });
        var found = Run(trial, copies * 2, configuration with
        {
            PipelineParallelDegree = 2,
            AutoPartition = cut.AutoPartition,
            DefaultPartition = cut.DefaultPartition,
            PartitionPatterns = cut.PartitionPatterns,
        });

        Assert.Equal(expected.Masters.Keys, found.Masters.Keys);
        Assert.All(expected.Masters, pair => Assert.Equal<float>(pair.Value, found.Masters[pair.Key]));
        Assert.Equal(expected.Losses, found.Losses);
        Assert.All(expected.Norms.Zip(found.Norms), pair => Assert.Equal(pair.First, pair.Second, 1e-12 * pair.First));
        Assert.True(expected.Losses[^1] < expected.Losses[0]);
    }

    /// <summary>
    /// With h = 200 x the gradient that a microbatch adds to that of the second weight is 10000 times the loss scale, which float16 has no room for
    /// before the scale has come down from 16 to 4; what it adds to that of the first is 1 / 20.48 of the scale.
    /// </summary>
    [Fact]
    public void A_step_that_overflows_on_one_stage_is_skipped_on_all() => RankHarness.RunSessions(
        2,
        session =>
        {
            using var outer = NewDisposeScope();
            using var model = session.DistributedModel(() => nn.Sequential(Scalar(200), Scalar(1 / 1024f)));
            using var optimizer = session.DistributedOptimizer(
                model, parameters => optim.SGD(parameters, 1.0 / 1024), lossScaling: LossScaling.Dynamic with { InitialScale = 16 });
            var initial = Assert.Single(model.Parameters).item<float>();
            for (var step = 0; step < 3; step++)
            {
                optimizer.zero_grad();
                model.Step(full([2, 1], 100f), zeros(2, 1), (output, _) => output.mean()).Dispose();
                optimizer.step();

                Assert.Equal(step < 2, optimizer.LossScaler!.Overflow);
                Assert.Equal(step < 2, initial == Assert.Single(model.Parameters).item<float>());
            }

            Assert.Equal(4, optimizer.LossScaler!.Scale);
        },
        new ParallelConfiguration { PipelineParallelDegree = 2, Microbatches = 2, Float16 = true });

    private static nn.Module<Tensor, Tensor> Scalar(float weight)
    {
        var linear = nn.Linear(1, 1, hasBias: false);
        using (no_grad())
            linear.weight!.fill_(weight);
        return linear;
    }

    private static (SortedDictionary<string, float[]> Masters, List<double> Losses, List<double> Norms) Run(
        PipelineTrial trial, int ranks, ParallelConfiguration configuration)
    {
        var (masters, losses, norms) = (new SortedDictionary<string, float[]>(StringComparer.Ordinal), new List<double>(), new List<double>());
        RankHarness.RunSessions(
            ranks,
            session =>
            {
                using var outer = NewDisposeScope();
                using var model = session.DistributedModel(() => Randoms.Filled(trial.Create()));
                using var optimizer = session.DistributedOptimizer(
                    model, parameters => optim.AdamW(parameters, 0.01), lossScaling: configuration.Float16 ? LossScaling.Static(256) : null);
                for (var step = 0; step < 3; step++)
                {
                    var (inputs, labels) = trial.Batch(0);
                    var copies = session.Groups.ReducedData;
                    optimizer.zero_grad();
                    var loss = session.MeanOverDataRanks(
                        model.Step(inputs.chunk(copies.Size)[copies.Rank], labels.chunk(copies.Size)[copies.Rank], trial.Loss).ReduceMean());
                    var norm = optimizer.ClipGradients(double.PositiveInfinity);
                    optimizer.step();
                    if (session.IsFirstRank)
                    {
                        losses.Add(loss);
                        norms.Add(norm);
                    }
                }

                lock (masters)
                {
                    foreach (var (name, parameter) in model.NamedParameters)
                        masters[$"{name} {session.Groups.Shard.Rank}"] = parameter.detach().flatten().data<float>().ToArray();
                }
            },
            configuration,
            new RankHarnessOptions { Delays = new DelayInjection(ranks) });
        return (masters, losses, norms);
    }
}
