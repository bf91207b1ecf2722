using ShardSharp.Testing;
using ShardSharp.Topology;

namespace ShardSharp.Tests.Pipeline.Runtime;

/// <summary>However a model is cut and whatever the schedule, a pipeline trains as one rank would: losses, norms, gradients, parameters.</summary>
public sealed class PipelineParityTests
{
    [Theory]
    [InlineData(PipelineScheduleKind.Simple, 2, 1)]
    [InlineData(PipelineScheduleKind.Simple, 4, 8)]
    [InlineData(PipelineScheduleKind.Interleaved, 2, 2)]
    [InlineData(PipelineScheduleKind.Interleaved, 4, 4)]
    [InlineData(PipelineScheduleKind.Interleaved, 2, 8)]
    [InlineData(PipelineScheduleKind.InterleavedDividedDrain, 2, 4)]
    [InlineData(PipelineScheduleKind.InterleavedDividedDrain, 4, 8)]
    [InlineData(PipelineScheduleKind.InterleavedChunks, 2, 4)]
    [InlineData(PipelineScheduleKind.ZeroBubbleH1, 2, 4)]
    [InlineData(PipelineScheduleKind.ZeroBubbleH1, 4, 8)]
    [InlineData(PipelineScheduleKind.ZeroBubbleV, 2, 1)]
    [InlineData(PipelineScheduleKind.ZeroBubbleV, 2, 8)]
    public void Trains_as_one_rank_does(PipelineScheduleKind kind, int ranks, int microbatches) =>
        PipelineTrial.Layers.MustEqualPlainTraining(
            ranks, new ParallelConfiguration { PipelineParallelDegree = ranks, Pipeline = kind, Microbatches = microbatches });

    [Fact]
    public void Trains_so_in_shared_memory() => PipelineTrial.Layers.MustEqualPlainTraining(
        2, new ParallelConfiguration { PipelineParallelDegree = 2, Microbatches = 4 }, new RankHarnessOptions { Backend = RankBackend.SharedMemory });

    [Fact]
    public void Trains_so_between_hosts() => PipelineTrial.Layers.MustEqualPlainTraining(
        2, new ParallelConfiguration { PipelineParallelDegree = 2, Microbatches = 4 }, new RankHarnessOptions { SeparateHosts = true });

    [Theory]
    [InlineData(PipelineScheduleKind.Interleaved, false, false)]
    [InlineData(PipelineScheduleKind.InterleavedDividedDrain, true, false)]
    [InlineData(PipelineScheduleKind.ZeroBubbleH1, false, false)]
    [InlineData(PipelineScheduleKind.InterleavedChunks, false, false)]
    [InlineData(PipelineScheduleKind.Interleaved, true, false)]
    [InlineData(PipelineScheduleKind.ZeroBubbleV, true, false)]
    [InlineData(PipelineScheduleKind.Interleaved, true, true)]
    public void Trains_so_in_copies(PipelineScheduleKind kind, bool shardsState, bool separateHosts) => PipelineTrial.Layers.MustEqualPlainTraining(
        4,
        new ParallelConfiguration
        {
            PipelineParallelDegree = 2, Pipeline = kind, Microbatches = 4, BucketCapacityMegabytes = 0.001, ShardOptimizerState = shardsState,
        },
        new RankHarnessOptions { SeparateHosts = separateHosts });

    [Theory]
    [InlineData(2, false)]
    [InlineData(4, false)]
    [InlineData(4, true)]
    public void Trains_so_when_steps_accumulate(int ranks, bool shardsState) => (PipelineTrial.Layers with { Passes = 2 }).MustEqualPlainTraining(
        ranks, new ParallelConfiguration { PipelineParallelDegree = 2, Microbatches = 2, ShardOptimizerState = shardsState });

    /// <summary>Four stages on four ranks, or two on each of two, in any order and at any pace: the same sums in the same order.</summary>
    [Fact]
    public void Schedules_have_the_same_bits_on_the_same_stages()
    {
        (PipelineScheduleKind Kind, int Ranks)[] runs =
        [
            (PipelineScheduleKind.Simple, 4), (PipelineScheduleKind.Interleaved, 4), (PipelineScheduleKind.InterleavedDividedDrain, 4),
            (PipelineScheduleKind.ZeroBubbleH1, 4), (PipelineScheduleKind.InterleavedChunks, 2), (PipelineScheduleKind.ZeroBubbleV, 2),
        ];
        var bits = runs.Select((run, seed) =>
        {
            var found = new SortedDictionary<string, string>(StringComparer.Ordinal);
            RankHarness.RunSessions(
                run.Ranks,
                session =>
                {
                    var moments = PipelineTrial.Layers.Train(session);
                    lock (found)
                    {
                        foreach (var (name, values) in moments.SelectMany((moment, step) => moment.Parameters.Select(pair => ($"{step} {pair.Key}", pair.Value))))
                            found[name] = string.Join(' ', values.Select(BitConverter.SingleToUInt32Bits));
                    }

                },
                new ParallelConfiguration { PipelineParallelDegree = run.Ranks, Pipeline = run.Kind, Microbatches = 4 },
                new RankHarnessOptions { Delays = new DelayInjection(seed) });
            return found;
        }).ToArray();

        Assert.Equal(3 * 12, bits[0].Count);
        Assert.All(bits, run => Assert.Equal(bits[0], run));
    }
}
