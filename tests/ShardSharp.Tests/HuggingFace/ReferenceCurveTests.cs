using ShardSharp.Testing;
using ShardSharp.Tests.Launching;
using ShardSharp.Topology;

namespace ShardSharp.Tests.HuggingFace;

/// <summary>Trainings give the losses and gradient norms that transformers and PyTorch gave, in every layout.</summary>
public sealed class ReferenceCurveTests
{
    public static TheoryData<string, int, RankBackend> Layouts { get; } = new MatrixTheoryData<string, int, RankBackend>(
        ReferenceModels.WithCurve.Select(row => row.Data), [1, 2, 4], Enum.GetValues<RankBackend>());

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Data_parallel_ranks_train_as_transformers_does(string model, int ranks, RankBackend backend)
    {
        var curve = new ReferenceCurve(ReferenceModels.PathOf(model));
        RankHarness.RunSessions(ranks, session => curve.Run(session), options: new RankHarnessOptions { Backend = backend });
    }

    /// <summary>Every level of sharding, over all ranks and in two groups of copies, on one host and where all gathers are messages.</summary>
    public static TheoryData<string, int, string, bool> Shardings { get; } = new MatrixTheoryData<string, int, string, bool>(
        ["gpt2", "llama"], [2, 4], ["state", "gradients", "parameters", "hybrid"], [false, true]);

    [Theory]
    [MemberData(nameof(Shardings))]
    public void Sharded_ranks_train_as_transformers_does(string model, int ranks, string layout, bool separateHosts)
    {
        var curve = new ReferenceCurve(ReferenceModels.PathOf(model));
        var configuration = layout switch
        {
            "state" => new ParallelConfiguration { ShardOptimizerState = true },
            "gradients" => new ParallelConfiguration { ShardedDataParallelDegree = ranks, ShardingLevel = ShardingLevel.Gradients },
            "parameters" => new ParallelConfiguration { ShardedDataParallelDegree = ranks },
            _ => new ParallelConfiguration { ShardedDataParallelDegree = ranks / 2 },
        };
        RankHarness.RunSessions(
            ranks, session => curve.Run(session), configuration with { ShardedPersistenceThreshold = 100 },
            new RankHarnessOptions { SeparateHosts = separateHosts });
    }

    /// <summary>Schedules, stages and microbatches; GPT-2's embedding and head are one parameter, on the first stage and the last.</summary>
    [Theory]
    [InlineData("gpt2", 2, 1, PipelineScheduleKind.Interleaved, 1)]
    [InlineData("gpt2", 2, 1, PipelineScheduleKind.Simple, 2)]
    [InlineData("gpt2", 4, 1, PipelineScheduleKind.ZeroBubbleH1, 4)]
    [InlineData("gpt2", 2, 1, PipelineScheduleKind.ZeroBubbleV, 4)]
    [InlineData("gpt2", 2, 2, PipelineScheduleKind.Interleaved, 2)]
    [InlineData("llama", 4, 1, PipelineScheduleKind.Interleaved, 4)]
    [InlineData("llama", 2, 1, PipelineScheduleKind.InterleavedChunks, 2)]
    [InlineData("llama", 2, 2, PipelineScheduleKind.ZeroBubbleH1, 2)]
    [InlineData("mixtral", 2, 1, PipelineScheduleKind.Interleaved, 2)]
    public void Stages_train_as_transformers_does(string model, int stages, int copies, PipelineScheduleKind kind, int microbatches)
    {
        var curve = new ReferenceCurve(ReferenceModels.PathOf(model));
        RankHarness.RunSessions(
            stages * copies, session => curve.Run(session),
            new ParallelConfiguration
            {
                PipelineParallelDegree = stages, Pipeline = kind, Microbatches = microbatches,
                ShardOptimizerState = copies > 1, SplitTiedParameters = true,
            });
    }

    /// <summary>Stages that meet inside of a block, behind its attention.</summary>
    [Theory]
    [InlineData("gpt2", false)]
    [InlineData("llama", true)]
    public void Stages_that_meet_in_a_block_train_as_transformers_does(string model, bool isDivided)
    {
        var curve = new ReferenceCurve(ReferenceModels.PathOf(model));
        RankHarness.RunSessions(
            isDivided ? 4 : 2, session => curve.Run(session),
            new ParallelConfiguration
            {
                PipelineParallelDegree = 2, TensorParallelDegree = isDivided ? 2 : 1, PrescaledBatch = isDivided, Microbatches = 2, SplitTiedParameters = true,
                Pipeline = isDivided ? PipelineScheduleKind.ZeroBubbleH1 : PipelineScheduleKind.Interleaved,
                AutoPartition = false, DefaultPartition = 0, PartitionPatterns = MovingCurveTests.InABlock(model),
            });
    }

    /// <summary>PP2 x TP2 x DP2.</summary>
    [Theory]
    [InlineData("gpt2", PipelineScheduleKind.ZeroBubbleH1)]
    [InlineData("llama", PipelineScheduleKind.Interleaved)]
    public void Copies_of_stages_of_divided_layers_train_as_transformers_does(string model, PipelineScheduleKind kind)
    {
        var curve = new ReferenceCurve(ReferenceModels.PathOf(model));
        RankHarness.RunSessions(
            8, session => curve.Run(session),
            new ParallelConfiguration
            {
                PipelineParallelDegree = 2, TensorParallelDegree = 2, PrescaledBatch = true, Pipeline = kind, Microbatches = 2, SplitTiedParameters = true,
            });
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void Threads_and_shared_memory_give_the_same_bits(int degree)
    {
        var curve = new ReferenceCurve(ReferenceModels.PathOf("gpt2"));
        var runs = Enum.GetValues<RankBackend>().Select(backend =>
        {
            IReadOnlyList<double> losses = [];
            RankHarness.RunSessions(
                4,
                session =>
                {
                    var computed = curve.Run(session);
                    if (session.IsFirstRank)
                        losses = computed;
                },
                new ParallelConfiguration { ShardedDataParallelDegree = degree },
                new RankHarnessOptions { Backend = backend });
            return losses;
        }).ToArray();

        Assert.Equal(runs[0], runs[1]);
    }

    [Fact]
    public async Task Processes_train_as_transformers_does()
    {
        var result = await SessionProcess.RunAsync($"curve {ReferenceModels.PathOf("gpt2")} --ranks 2");

        Assert.True(result.ExitCode == 0, result.Error);
        Assert.Contains("1 of 2:", result.Output, StringComparison.Ordinal);
    }
}
