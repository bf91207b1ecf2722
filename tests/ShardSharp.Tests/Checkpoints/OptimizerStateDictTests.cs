using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Tests.Pipeline.Runtime;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Checkpoints;

/// <summary>The optimizer's state is whole whatever ranks have of it, and goes on in any other layout.</summary>
[Collection(nameof(WholeProcess))]
public sealed class OptimizerStateDictTests
{
    private static readonly ParallelConfiguration Alone = new();

    [Theory]
    [InlineData("pipeline", 2)]
    [InlineData("sharded stages", 4)]
    [InlineData("sharded", 2)]
    [InlineData("sharded parameters", 4)]
    public void The_state_is_that_of_one_rank_and_goes_on_elsewhere(string layout, int ranks)
    {
        var configuration = layout switch
        {
            "pipeline" => new ParallelConfiguration { PipelineParallelDegree = 2, Microbatches = 2 },
            "sharded stages" => new ParallelConfiguration { PipelineParallelDegree = 2, ShardOptimizerState = true },
            "sharded" => new ParallelConfiguration { ShardOptimizerState = true },
            _ => new ParallelConfiguration { ShardedDataParallelDegree = 4 },
        };
        using var outer = NewDisposeScope();
        var expected = Trained(1, Alone, steps: 2, from: null);
        var found = Trained(ranks, configuration, steps: 2, from: null);

        Assert.Equal(expected.State.Keys.Order(), found.State.Keys.Order());
        Assert.Contains("exp_avg_sq/0.weight", found.State.Keys);
        Assert.Equal(2, found.State["step/0.weight"].item<double>());
        Assert.All(expected.State, pair => Assert.True(pair.Value.allclose(found.State[pair.Key], atol: 1e-6)));

        var whole = Trained(1, Alone, steps: 4, from: null);
        MustGoOn(Trained(ranks, configuration, steps: 2, from: expected));
        MustGoOn(Trained(1, Alone, steps: 2, from: found));

        void MustGoOn(Run continued) => Assert.All(
            whole.Losses.Skip(2).Zip(continued.Losses), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
    }

    [Fact]
    public void What_does_not_fit_is_refused() => RankHarness.RunSessions(1, session =>
    {
        using var scope = NewDisposeScope();
        using var model = session.DistributedModel(PipelineTrial.Layers.Create);
        using var optimizer = session.DistributedOptimizer(model, parameters => optim.AdamW(parameters));
        Assert.Contains("no state exp_avg/9.weight", Refusal("exp_avg/9.weight", zeros(1)), StringComparison.Ordinal);
        Assert.Contains("has shape [3], and the parameter [24, 6]", Refusal("exp_avg/0.weight", zeros(3)), StringComparison.Ordinal);


        string Refusal(string name, Tensor values) =>
            Assert.Throws<ArgumentException>(() => optimizer.LoadStateDict(new Dictionary<string, Tensor> { [name] = values })).Message;
    });

    private static Run Trained(int ranks, ParallelConfiguration configuration, int steps, Run? from)
    {
        var (losses, results) = (new List<double>(), new Dictionary<string, Tensor>[2]);
        RankHarness.RunSessions(
            ranks,
            session =>
            {
                using var scope = NewDisposeScope();
                using var model = session.DistributedModel(() => Randoms.Filled(PipelineTrial.Layers.Create()));
                using var optimizer = session.DistributedOptimizer(model, parameters => optim.AdamW(parameters, 0.01));
                if (from is not null)
                {
                    model.LoadStateDict(from.Model);
                    optimizer.LoadStateDict(from.State);
                }

                for (var step = 0; step < steps; step++)
                {
                    var (inputs, labels) = PipelineTrial.Layers.Batch((from is null ? 0 : 2) + step);
                    var data = session.Groups.Data;
                    optimizer.zero_grad();
                    using var loss = model.Step(inputs.chunk(data.Size)[data.Rank], labels.chunk(data.Size)[data.Rank], PipelineTrial.Layers.Loss);
                    optimizer.step();
                    var mean = session.MeanOverDataRanks(loss.ReduceMean());
                    if (session.IsFirstRank)
                        losses.Add(mean);
                }

                var whole = optimizer.StateDict();
                Assert.Subset(whole.Keys.ToHashSet(), optimizer.LocalStateDict().Keys.ToHashSet());
                var parameters = model.StateDict();
                if (session.IsFirstRank)
                    results = [Kept(parameters), Kept(whole)];
            },
            configuration);
        return new Run(losses, results[0], results[1]);
    }

    private static Dictionary<string, Tensor> Kept(IReadOnlyDictionary<string, Tensor> tensors) =>
        tensors.ToDictionary(pair => pair.Key, pair => pair.Value.clone().DetachFromDisposeScope());

    private sealed record Run(List<double> Losses, Dictionary<string, Tensor> Model, Dictionary<string, Tensor> State);
}
