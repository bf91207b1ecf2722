using ShardSharp.Testing;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel;

/// <summary>Running statistics and other buffers of the copies of a model.</summary>
public sealed class BufferTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Are_those_of_the_first_rank_after_a_step_unless_switched_off(bool broadcast)
    {
        // Each rank normalises its own samples, so its running mean moves by a tenth towards the mean of these.
        var means = new float[2];
        RankHarness.RunSessions(
            2,
            session =>
            {
                using var model = session.DistributedModel(CreateNormalized);
                StepOn(model, session.Rank + 1);
                means[session.Rank] = MeanOf(model);
            },
            new ParallelConfiguration { BroadcastBuffers = broadcast });
        Assert.Equal(broadcast ? [0.1f, 0.1f] : [0.1f, 0.2f], means.Select(mean => MathF.Round(mean, 5)));
    }

    [Fact]
    public void Begin_as_those_of_the_first_rank() => RankHarness.RunSessions(
        2,
        session =>
        {
            using var model = session.DistributedModel(() =>
            {
                var module = CreateNormalized();
                module.running_mean!.fill_(7 + session.Rank);
                return module;
            });
            Assert.Equal(7, MeanOf(model));
        },
        new ParallelConfiguration { BroadcastBuffers = false });

    [Fact]
    public void Follow_the_data_of_each_rank_while_gradients_accumulate() => RankHarness.RunSessions(
        2,
        session =>
        {
            using var model = session.DistributedModel(CreateNormalized);
            using (model.AccumulateGradients())
                StepOn(model, session.Rank + 1);
            Assert.Equal(0.1f * (session.Rank + 1), MeanOf(model), 1e-6f);
            StepOn(model, session.Rank + 1);
            Assert.Equal(0.19f, MeanOf(model), 1e-6f);
        });

    [Fact]
    public void Evaluate_alike_on_all_ranks_after_a_step()
    {
        var outputs = new double[2];
        RankHarness.RunSessions(
            2,
            session =>
            {
                using var model = session.DistributedModel(CreateNormalized);
                StepOn(model, session.Rank + 1);
                model.Evaluate();
                outputs[session.Rank] = model.Forward([ones(4, 1)], (module, batch) => module.call(batch[0]).mean()).ReduceMean();
            });
        Assert.Equal(outputs[0], outputs[1]);
    }

    private static TorchSharp.Modules.BatchNorm1d CreateNormalized() => nn.BatchNorm1d(1);

    private static float MeanOf(DistributedModel<TorchSharp.Modules.BatchNorm1d> model) => model.Module.running_mean!.item<float>();

    private static void StepOn(DistributedModel<TorchSharp.Modules.BatchNorm1d> model, double mean) => model.Step(
        [tensor(new float[,] { { -1 }, { 1 } }) + mean], (module, batch) => module.call(batch[0]).pow(3).mean());
}
