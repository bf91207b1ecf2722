using ShardSharp.Communication;
using ShardSharp.Testing;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel.Sharding;

/// <summary>A sharded model used wrongly gives an error that says what to do.</summary>
public sealed class ShardedMisuseTests
{
    private static readonly ParallelConfiguration Sharded = new() { ShardedDataParallelDegree = 2 };

    [Fact]
    public void An_optimizer_over_the_modules_parameters_is_refused() => RankHarness.RunSessions(
        2,
        session =>
        {
            using var model = session.DistributedModel(() => nn.Linear(8, 8));
            var wrong = Assert.Throws<ArgumentException>(
                () => session.DistributedOptimizer(model, _ => optim.AdamW(model.Module.parameters(), 0.1)));
            Assert.Contains("session.DistributedOptimizer passes", wrong.Message, StringComparison.Ordinal);
        },
        Sharded);

    [Fact]
    public void An_optimizer_built_before_the_model_was_distributed_is_refused() => RankHarness.RunSessions(
        2,
        session =>
        {
            var module = nn.Linear(8, 8);
            var early = optim.AdamW(module.parameters(), 0.1);
            using var model = session.DistributedModel(() => module);
            var wrong = Assert.Throws<ArgumentException>(() => session.DistributedOptimizer(model, _ => early));
            Assert.Contains("before the model was distributed", wrong.Message, StringComparison.Ordinal);
        },
        Sharded);

    [Fact]
    public void An_optimizer_that_mixes_elements_is_refused() => RankHarness.RunSessions(
        2,
        session =>
        {
            using var model = session.DistributedModel(() => nn.Linear(8, 8));
            var wrong = Assert.Throws<NotSupportedException>(() => session.DistributedOptimizer(model, parameters => optim.LBFGS(parameters)));
            Assert.Contains("AdamW", wrong.Message, StringComparison.Ordinal);
        },
        Sharded);

    [Fact]
    public void The_optimizer_does_not_run_on_gradients_of_one_rank() => RankHarness.RunSessions(
        2,
        session =>
        {
            using var scope = NewDisposeScope();
            using var model = session.DistributedModel(() => nn.Linear(8, 8));
            using var optimizer = session.DistributedOptimizer(model, parameters => optim.SGD(parameters, 0.1));
            using (model.AccumulateGradients())
                model.Step([ones(2, 8)], (module, share) => module.call(share[0]).sum());
            var wrong = Assert.Throws<InvalidOperationException>(() => optimizer.step());
            Assert.Contains("AccumulateGradients", wrong.Message, StringComparison.Ordinal);
        },
        Sharded);

    [Fact]
    public void Ranks_with_different_numbers_of_batches_are_told_who_called_what()
    {
        var failures = RankHarness.CaptureSessions(
            2,
            session =>
            {
                using var scope = NewDisposeScope();
                using var model = session.DistributedModel(() => nn.Linear(8, 8));
                using var optimizer = session.DistributedOptimizer(model, parameters => optim.SGD(parameters, 0.1));
                for (var step = 0; step < 2 + session.Rank; step++)
                {
                    model.Step([ones(2, 8)], (module, share) => module.call(share[0]).sum());
                    optimizer.step();
                }
            },
            Sharded);

        Assert.Contains(failures, failure => failure.Failure is RankFailedException);
    }

    [Fact]
    public void A_gradient_in_several_parts_is_told_of() =>
        Assert.Contains(
            "overlapping_allreduce",
            Assert.Throws<InvalidOperationException>(() => RankHarness.RunSessions(2, TrainRecomputing, Sharded)).Message,
            StringComparison.Ordinal);

    [Fact]
    public void A_gradient_in_several_parts_is_reduced_after_backward() =>
        RankHarness.RunSessions(2, TrainRecomputing, Sharded with { OverlappingAllReduce = false });

    private static void TrainRecomputing(Session session)
    {
        using var scope = NewDisposeScope();
        using var model = session.DistributedModel(() => new LateGradientTests.Recomputing());
        model.Step([ones(2, 8)], (module, share) => module.call(share[0]).sum());
    }
}
