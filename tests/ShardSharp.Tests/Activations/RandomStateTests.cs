using ShardSharp.Activations;
using ShardSharp.Tests.DataParallel;
using static TorchSharp.torch;
using Stack = ShardSharp.Tests.Activations.CheckpointedModels.Stack;

namespace ShardSharp.Tests.Activations;

/// <summary>Dropout drops the same when a module computes again, and what is drawn later is what would have been drawn.</summary>
public sealed class RandomStateTests
{
    [Theory]
    [InlineData(1, "each")]
    [InlineData(1, "group_2")]
    [InlineData(3, "each")]
    [InlineData(3, "contiguous")]
    public void Dropout_is_the_same(int ranks, string strategy) => (Training with { Ranks = ranks }).MustNotChange(
        model => model.SetActivationCheckpointing("layers", CheckpointStrategy.Parse(strategy)),
        CheckpointedTraining<Stack>.SmallBuckets with { Microbatches = 2 });

    [Fact]
    public void Dropout_is_another_where_nobody_wants_it_preserved()
    {
        var preserved = Training.Run(model => model.SetActivationCheckpointing("layers"));
        var another = Training.Run(model => model.SetActivationCheckpointing("layers", preserveRandomState: false));
        Assert.NotEqual(preserved["0 0 _first.weight"], another["0 0 _first.weight"]);
    }

    private static CheckpointedTraining<Stack> Training { get; } = new(
        () => new Stack(dropout: 0.4), step => [Randoms.Normal(step, 12, CheckpointedModels.Width)],
        (module, batch) => nn.functional.dropout(module.call(batch[0]), 0.1).pow(2).mean())
    {
        BeforeStep = (step, session) => manual_seed((10 * step) + session.Rank),
    };
}
