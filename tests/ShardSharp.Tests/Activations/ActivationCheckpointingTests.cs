using ShardSharp.Activations;
using Stack = ShardSharp.Tests.Activations.CheckpointedModels.Stack;

namespace ShardSharp.Tests.Activations;

/// <summary>Every gradient has the same bits with activation checkpointing and without, whatever it is combined with.</summary>
public sealed class ActivationCheckpointingTests
{
    public static TheoryData<string> Strategies { get; } = ["each", "selective", "contiguous", "group_2", "group_3"];

    [Theory]
    [MemberData(nameof(Strategies))]
    public void Of_a_sequential_by_every_strategy(string strategy) => CheckpointedModels.Training.MustNotChange(
        model => model.SetActivationCheckpointing("_blocks.*", CheckpointStrategy.Parse(strategy)));

    [Fact]
    public void Of_the_whole_model() => CheckpointedModels.Training.MustNotChange(model => model.SetActivationCheckpointing(model.Module));

    [Fact]
    public void Of_modules_within_checkpointed_modules() => CheckpointedModels.Training.MustNotChange(model =>
    {
        model.SetActivationCheckpointing("_blocks.*._up, _blocks.*._norm");
        model.SetActivationCheckpointing("layers", CheckpointStrategy.GroupsOf(2));
    });

    [Theory]
    [MemberData(nameof(Strategies))]
    public void From_the_configuration(string strategy) => (CheckpointedModels.Training with { Ranks = 2 }).MustNotChange(
        _ => { },
        CheckpointedTraining<Stack>.SmallBuckets with { ActivationCheckpointing = "layers", ActivationCheckpointingStrategy = strategy });

    [Theory]
    [InlineData("each", true, 1)]
    [InlineData("each", false, 1)]
    [InlineData("selective", true, 1)]
    [InlineData("group_2", true, 3)]
    public void With_replicas_that_reduce_during_backward(string strategy, bool overlap, int microbatches) =>
        (CheckpointedModels.Training with { Ranks = 2 }).MustNotChange(
            model => model.SetActivationCheckpointing("layers", CheckpointStrategy.Parse(strategy)),
            CheckpointedTraining<Stack>.SmallBuckets with { OverlappingAllReduce = overlap, Microbatches = microbatches });

    [Theory]
    [InlineData("each", false)]
    [InlineData("each", true)]
    [InlineData("selective", false)]
    [InlineData("selective", true)]
    [InlineData("group_2", true)]
    public void With_sharded_units(string strategy, bool separateHosts) =>
        (CheckpointedModels.Training with { Ranks = 2, SeparateHosts = separateHosts }).MustNotChange(
            model => model.SetActivationCheckpointing("layers", CheckpointStrategy.Parse(strategy)),
            CheckpointedTraining<Stack>.SmallBuckets with { ShardedDataParallelDegree = 2, Microbatches = 2 });

    [Theory]
    [InlineData(true, false, "each")]
    [InlineData(false, true, "each")]
    [InlineData(true, true, "selective")]
    [InlineData(false, false, "selective")]
    public void With_mixed_precision(bool bf16, bool separateHosts, string strategy) =>
        (CheckpointedModels.Training with { Ranks = 2, SeparateHosts = separateHosts }).MustNotChange(
            model => model.SetActivationCheckpointing("layers", CheckpointStrategy.Parse(strategy)),
            CheckpointedTraining<Stack>.SmallBuckets with { BFloat16 = bf16, Float16 = !bf16, ShardedDataParallelDegree = separateHosts ? 2 : 1 });

    [Fact]
    public void With_the_optimizers_state_sharded_and_gradients_accumulated() => (CheckpointedModels.Training with { Ranks = 2, Steps = 4 }).MustNotChange(
        model => model.SetActivationCheckpointing("layers", CheckpointStrategy.Contiguous),
        CheckpointedTraining<Stack>.SmallBuckets with { ShardOptimizerState = true, BackwardPassesPerStep = 2 });

    [Theory]
    [InlineData(1, "each")]
    [InlineData(2, "each")]
    [InlineData(1, "selective")]
    public void With_inputs_on_a_disk(int ranks, string strategy) => (CheckpointedModels.Training with { Ranks = ranks }).MustNotChange(
        model => model.SetActivationCheckpointing("layers", CheckpointStrategy.Parse(strategy)),
        CheckpointedTraining<Stack>.SmallBuckets with { OffloadActivations = true, ActivationCheckpointing = "_first" });

    [Fact]
    public void Ends_where_it_is_cleared() => CheckpointedModels.Training.MustNotChange(model =>
    {
        model.SetActivationCheckpointing("layers");
        foreach (var block in model.Module.children().SelectMany(child => child.children()))
            model.ClearActivationCheckpointing(block);
        Assert.Equal(0, model.Recomputation.Count);
    });

    [Fact]
    public void Offloading_without_checkpoints_is_told_apart()
    {
        var error = Assert.Throws<InvalidOperationException>(() => CheckpointedModels.Training.Run(
            _ => { }, CheckpointedTraining<Stack>.SmallBuckets with { OffloadActivations = true }));
        Assert.Contains("activation_checkpointing", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("block.*", "No module is called 'block.*'")]
    [InlineData("_blocks.7", "_blocks.0")]
    public void A_name_that_fits_no_module_is_an_error(string names, string message)
    {
        var error = Assert.Throws<ArgumentException>(() => CheckpointedModels.Training.Run(model => model.SetActivationCheckpointing(names)));
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }
}
