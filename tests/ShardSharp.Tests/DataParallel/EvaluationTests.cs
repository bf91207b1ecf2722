using ShardSharp.Testing;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel;

/// <summary>Evaluation between steps changes nothing.</summary>
public sealed class EvaluationTests
{
    [Fact]
    public void Forward_records_no_graph_and_leaves_gradients_alone() => RankHarness.RunSessions(
        2,
        session =>
        {
            using var model = session.DistributedModel(() => nn.Linear(3, 2));
            using var loss = model.Forward(ones(4, 3), ones(4, 2), (output, label) => nn.functional.mse_loss(output, label));
            Assert.Equal(2, loss.Outputs.Count);
            Assert.All(loss.Outputs, output => Assert.False(output.requires_grad));
            Assert.All(model.Parameters, parameter => Assert.Null(parameter.grad));
        },
        new ParallelConfiguration { Microbatches = 2 });

    [Fact]
    public void Forward_of_microbatches_joins_to_that_of_the_batch() => RankHarness.RunSessions(
        1,
        session =>
        {
            using var model = session.DistributedModel(() => nn.Linear(3, 2));
            var inputs = Randoms.Normal(0, 6, 3);
            using var outputs = model.Forward([inputs], (module, batch) => module.call(batch[0]));
            Assert.True(outputs.Concat().allclose(model.Module.call(inputs)));
            Assert.Equal([3, 2, 2], outputs.Stack().shape);
        },
        new ParallelConfiguration { Microbatches = 3 });

    [Fact]
    public void A_recorded_graph_that_is_never_used_does_not_disturb_the_next_step() => Training(
        (_, module) => module.call(Randoms.Normal(9, 4, 6))).MustEqualPlainTraining(2);

    [Fact]
    public void A_backward_of_the_programs_own_between_steps_adds_to_this_ranks_gradients_alone() => Training(
        (_, module) =>
        {
            module.call(Randoms.Normal(9, 4, 6)).sum().backward();
            foreach (var parameter in module.parameters())
                parameter.grad = null;
        }).MustEqualPlainTraining(2);

    private static Trial<nn.Module<Tensor, Tensor>> Training(Action<int, nn.Module<Tensor, Tensor>> between) => new(
        () => nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3)),
        step => [Randoms.Normal(step, 12, 6)],
        (module, batch) => module.call(batch[0]).pow(2).mean())
    { BeforeStep = between };
}
