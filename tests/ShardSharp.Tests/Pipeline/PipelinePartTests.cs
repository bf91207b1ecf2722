using ShardSharp.Pipeline;
using ShardSharp.Pipeline.Partitioning;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Tests.Pipeline.Runtime;
using ShardSharp.Tests.Pipeline.Tracing;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Pipeline;

/// <summary>Modules that a pipeline may cut inside, though they register no parts.</summary>
public sealed class PipelinePartTests
{
    private static readonly string[] Halves = ["0._halves.0", "0._halves.1", "1._halves.0", "1._halves.1", "2"];

    /// <summary>Two blocks of two halves, and a head.</summary>
    internal static PipelineTrial Blocks { get; } = PipelineTrial.Layers with
    {
        Create = () => nn.Sequential(new HalvedBlock(6), new HalvedBlock(6), nn.Linear(6, 3)),
    };

    [Fact]
    public void A_block_is_cut_between_its_halves_listed_or_traced()
    {
        using var scope = NewDisposeScope();
        using var model = Blocks.Create();
        Tensor[] batch = [randn(3, 6)];

        foreach (var chain in new[] { ModelChains.List(model)!, ModelChains.Trace(model, batch).Chain })
        {
            Assert.Equal(Halves, Chains.Names(chain));
            Assert.Equal(["0._first.weight", "0._first.bias"], NamesOf(model, chain.Parts[0]));
            Chains.AssertComputes(chain, model, batch, tensors => model.call(tensors[0]));

            // A stage with both halves calls the block.
            Assert.Equal(["0", "1._halves.0"], chain.Run(0, 3).Select(part => part.Name));
            Assert.Equal(["0._halves.1", "1", "2"], chain.Run(1, 4).Select(part => part.Name));
            Chains.AssertComputes(chain with { Parts = chain.Run(0, 5) }, model, batch, tensors => model.call(tensors[0]));
        }
    }

    [Fact]
    public void A_module_that_is_to_stay_whole_is_not_cut()
    {
        using var scope = NewDisposeScope();
        using var model = Blocks.Create();
        var whole = new HashSet<nn.Module>(model.children().Take(1));

        Assert.Equal(["0", .. Halves[2..]], Chains.Names(ModelChains.List(model, whole)!));
        Assert.Equal(["0", .. Halves[2..]], Chains.Names(ModelChains.Trace(model, [randn(3, 6)], whole: whole).Chain));
    }

    [Fact]
    public void A_part_that_does_not_tell_what_it_uses_is_an_error()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Sequential(new HalvedBlock(6, forgets: true), nn.Linear(6, 3));
        var (chain, _) = ModelChains.Trace(model, [randn(3, 6)]);

        var failure = Assert.Throws<InvalidOperationException>(() => PartCosts.Measure(chain, model, [randn(3, 6)]));

        Assert.Contains("'0._halves.1' computes with the parameter '0._second.weight'", failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(2, 2, false, PipelineScheduleKind.Interleaved)]
    [InlineData(2, 2, true, PipelineScheduleKind.ZeroBubbleH1)]
    [InlineData(4, 2, false, PipelineScheduleKind.ZeroBubbleH1)]
    [InlineData(4, 4, false, PipelineScheduleKind.Interleaved)]
    public void Stages_that_meet_in_a_block_train_as_one_rank_does(int ranks, int stages, bool delayed, PipelineScheduleKind kind) =>
        Blocks.MustEqualPlainTraining(ranks, CutInABlock(stages) with { Pipeline = kind, Microbatches = 4, DelayedParameterInitialization = delayed });

    /// <summary>What is put on a module counts where one stage has all of it, and is refused where none has.</summary>
    [Fact]
    public void A_block_that_is_cut_cannot_be_checkpointed_and_others_can() => RankHarness.RunSessions(
        2,
        session =>
        {
            using var scope = NewDisposeScope();
            using var model = session.DistributedModel(() => (TorchSharp.Modules.Sequential)Randoms.Filled(Blocks.Create()));
            var calls = 0;
            var hook = ((HalvedBlock)model.Module.children().First()).register_forward_hook((_, _, output) =>
            {
                calls++;
                return output;
            });
            model.Step(ones(2, 6), zeros(2, 3), Blocks.Loss).Dispose();
            Assert.Equal(session.IsFirstRank ? 2 : 0, calls);
            hook.remove();

            model.SetActivationCheckpointing("0");
            var failure = Assert.Throws<ArgumentException>(() => model.SetActivationCheckpointing("1"));
            Assert.Contains("'1' is cut by the pipeline", failure.Message, StringComparison.Ordinal);
            model.SetActivationCheckpointing("1.*");
            model.Step(ones(2, 6), zeros(2, 3), Blocks.Loss).Dispose();
        },
        CutInABlock(2) with { Microbatches = 2 });

    /// <summary>The stages meet inside of the second block, and with four inside of both.</summary>
    internal static ParallelConfiguration CutInABlock(int stages) => new()
    {
        PipelineParallelDegree = stages, AutoPartition = false, DefaultPartition = 0,
        PartitionPatterns = stages == 2 ? "1._halves.1=1, 2=1" : "0._halves.1=1, 1._halves.0=2, 1._halves.1=3, 2=3",
    };

    private static IEnumerable<string> NamesOf(nn.Module model, ChainPart part) =>
        part.Parameters.Select(parameter => model.named_parameters().First(named => ReferenceEquals(named.parameter, parameter)).name);
}
