using ShardSharp.Testing;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Pipeline.Runtime;

/// <summary>What may lie on the border of two stages.</summary>
public sealed class CutModelTests
{
    private static readonly PipelineTrial InPlace = PipelineTrial.Layers with
    {
        Create = () => nn.Sequential(nn.Linear(6, 24), nn.ReLU(inplace: true), nn.Linear(24, 20), nn.GELU(inplace: true), nn.Linear(20, 3)),
    };

    /// <summary>Autograd has no graph to go back through from what was overwritten, unless the stage before computed it.</summary>
    [Theory]
    [InlineData("0=0,**=1", "'1' on stage 1")]
    [InlineData("3=1,4=1,**=0", "'3' on stage 1")]
    public void A_stage_that_begins_in_place_is_refused_with_what_works(string patterns, string named)
    {
        var failures = RankHarness.CaptureSessions(2, session => InPlace.Train(session), Manual(patterns));

        var refusal = failures.Select(failure => failure.Failure).OfType<InvalidOperationException>().Single().Message;
        Assert.StartsWith($"{named} writes in place to a tensor that begins a graph", refusal, StringComparison.Ordinal);
        Assert.Contains("Let it not work in place, or put it on the stage of the module before it.", refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void A_module_in_place_may_follow_its_input() => InPlace.MustEqualPlainTraining(2, Manual("0=0,1=0,**=1"));

    [Theory]
    [InlineData(PipelineScheduleKind.Interleaved)]
    [InlineData(PipelineScheduleKind.ZeroBubbleH1)]
    public void Views_and_wider_types_pass_from_stage_to_stage(PipelineScheduleKind kind)
    {
        (Func<Tensor, Tensor> There, Func<Tensor, Tensor> Back)[] borders =
        [
            (passed => passed.transpose(0, 1), passed => passed.transpose(0, 1)),
            (passed => passed.unsqueeze(0).expand(3, -1, -1), passed => passed.mean([0])),
            (passed => passed.to(ScalarType.Float64), passed => passed.to(ScalarType.Float32)),
        ];
        foreach (var (there, back) in borders)
        {
            var trial = PipelineTrial.Layers with
            {
                Create = () => nn.Sequential(nn.Linear(6, 24), new Function(there), new Function(back), nn.Linear(24, 3)),
            };
            trial.MustEqualPlainTraining(2, Manual("0=0,1=0,**=1") with { Pipeline = kind });
        }
    }

    private static ParallelConfiguration Manual(string patterns) => new()
    {
        PipelineParallelDegree = 2, Microbatches = 4, AutoPartition = false, DefaultPartition = 0, PartitionPatterns = patterns,
    };

    private sealed class Function(Func<Tensor, Tensor> compute) : nn.Module<Tensor, Tensor>(nameof(Function))
    {
        public override Tensor forward(Tensor input) => compute(input);
    }
}
