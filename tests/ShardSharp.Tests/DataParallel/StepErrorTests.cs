using ShardSharp.Communication;
using ShardSharp.Testing;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel;

/// <summary>Wrong uses of a step, each with an error that says what is wrong.</summary>
public sealed class StepErrorTests
{
    [Fact]
    public void Microbatches_must_divide_the_batch() => OnOneRank(
        session =>
        {
            using var model = session.DistributedModel(() => nn.Linear(3, 2));
            var wrong = Assert.Throws<ArgumentException>(() => model.Step(ones(6, 3), ones(6, 2), Difference));
            Assert.Contains("microbatches = 4 does not divide the 6 samples", wrong.Message, StringComparison.Ordinal);
            Assert.Contains("1, 2, 3, 6", wrong.Message, StringComparison.Ordinal);
            Assert.Throws<ArgumentException>(() => model.Forward(ones(6, 3), ones(6, 2), Difference));
        },
        new ParallelConfiguration { Microbatches = 4 });

    [Fact]
    public void Tensors_of_a_batch_must_have_the_same_first_dimension() => OnOneRank(
        session =>
        {
            using var model = session.DistributedModel(() => nn.Linear(3, 2));
            var wrong = Assert.Throws<ArgumentException>(() => model.Step(ones(6, 3), ones(4, 2), Difference));
            Assert.Contains("[6, 3], [4, 2]", wrong.Message, StringComparison.Ordinal);
        },
        new ParallelConfiguration { Microbatches = 2 });

    [Fact]
    public void Loss_must_be_one_number() => OnOneRank(
        session =>
        {
            using var model = session.DistributedModel(() => nn.Linear(3, 2));
            var wrong = Assert.Throws<InvalidOperationException>(() => model.Step(ones(6, 3), ones(6, 2), (output, _) => output));
            Assert.Contains("it got shape [6, 2]", wrong.Message, StringComparison.Ordinal);
        });

    [Fact]
    public void Loss_must_depend_on_the_parameters() => OnOneRank(
        session =>
        {
            using var model = session.DistributedModel(() => nn.Linear(3, 2));
            var wrong = Assert.Throws<InvalidOperationException>(() => model.Step(ones(6, 3), ones(6, 2), (_, label) => label.sum()));
            Assert.Contains("without a gradient function", wrong.Message, StringComparison.Ordinal);
        });

    [Fact]
    public void Other_modules_take_a_list_of_tensors() => OnOneRank(
        session =>
        {
            using var model = session.DistributedModel(() => nn.Bilinear(3, 3, 2));
            var wrong = Assert.Throws<InvalidOperationException>(() => model.Step(ones(6, 3), ones(6, 2), Difference));
            Assert.Contains("Bilinear is not a Module<Tensor, Tensor>", wrong.Message, StringComparison.Ordinal);
            Assert.Contains("list of tensors", wrong.Message, StringComparison.Ordinal);
        });

    [Fact]
    public void Mean_of_outputs_needs_numbers() => OnOneRank(
        session =>
        {
            using var model = session.DistributedModel(() => nn.Linear(3, 2));
            using var outputs = model.Forward([ones(6, 3)], (module, batch) => module.call(batch[0]));
            var wrong = Assert.Throws<InvalidOperationException>(() => outputs.ReduceMean());
            Assert.Contains("[6, 2]", wrong.Message, StringComparison.Ordinal);
            Assert.Throws<InvalidOperationException>(() => outputs.ReduceSum());
        });

    [Fact]
    public void An_error_in_the_loss_of_one_rank_ends_all_ranks_with_it_as_the_cause()
    {
        var failures = RankHarness.CaptureSessions(
            3,
            session =>
            {
                using var model = session.DistributedModel(() => nn.Linear(3, 2));
                model.Step(ones(6, 3), ones(6, 2), (output, label) => session.Rank == 1
                    ? throw new InvalidDataException("label 7 is out of range")
                    : Difference(output, label));
            });
        Assert.Equal([0, 1, 2], failures.Select(failure => failure.Rank).Order());
        Assert.Equal((1, typeof(InvalidDataException)), (failures[0].Rank, failures[0].Failure.GetType()));
        Assert.All(failures.Skip(1), failure =>
        {
            Assert.IsAssignableFrom<CommunicationException>(failure.Failure);
            Assert.Contains("label 7 is out of range", failure.Failure.Message, StringComparison.Ordinal);
        });
    }

    [Fact]
    public void An_error_while_backward_reduces_reaches_the_caller_of_the_step()
    {
        // The reduction that a marker starts in the middle of backward fails at once on the rank that has left the group.
        var failures = RankHarness.CaptureSessions(
            2,
            session =>
            {
                using var model = session.DistributedModel(() => nn.Sequential(nn.Linear(3, 300), nn.Linear(300, 2)));
                model.Step(ones(6, 3), ones(6, 2), (output, label) =>
                {
                    if (session.Rank == 0)
                        session.Groups.ReducedData.Dispose();
                    return Difference(output, label);
                });
            },
            Trial<nn.Module>.SmallBuckets);
        Assert.IsType<ObjectDisposedException>(Assert.Single(failures, failure => failure.Rank == 0).Failure);
        Assert.IsAssignableFrom<CommunicationException>(Assert.Single(failures, failure => failure.Rank == 1).Failure);
    }

    private static Tensor Difference(Tensor output, Tensor label) => nn.functional.mse_loss(output, label);

    private static void OnOneRank(Action<Session> program, ParallelConfiguration? configuration = null) =>
        RankHarness.RunSessions(1, program, configuration);
}
