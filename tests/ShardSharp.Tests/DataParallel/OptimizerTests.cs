using ShardSharp.Testing;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel;

/// <summary>TorchSharp's optimizers and what programs do between a model's step and the optimizer's.</summary>
public sealed class OptimizerTests
{
    public static TheoryData<string, int> Optimizers { get; } = new MatrixTheoryData<string, int>(["momentum", "nesterov", "Adam", "AdamW"], [2, 3]);

    [Theory]
    [MemberData(nameof(Optimizers))]
    public void Train_as_on_one_rank(string optimizer, int ranks) =>
        (Training with { Optimizer = parameters => Create(optimizer, parameters) }).MustEqualPlainTraining(ranks);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Clip_the_norm_of_the_averaged_gradients(bool overlap)
    {
        var norms = new List<double>();
        var trial = Training with
        {
            BeforeUpdate = (_, module) =>
            {
                var norm = nn.utils.clip_grad_norm_(module.parameters(), 0.02);
                lock (norms)
                    norms.Add(norm);
            },
        };
        trial.MustEqualPlainTraining(2, Trial<nn.Module<Tensor, Tensor>>.SmallBuckets with { OverlappingAllReduce = overlap });
        Assert.All(norms, norm => Assert.True(norm > 0.02, $"norm {norm} is not clipped"));
    }

    [Fact]
    public void Refuse_a_model_of_another_rank()
    {
        var models = new DistributedModel[2];
        RankHarness.RunSessions(
            2,
            session =>
            {
                using var model = session.DistributedModel(() => nn.Linear(2, 2));
                models[session.Rank] = model;
                session.Groups.World.Barrier();
                var wrong = Assert.Throws<ArgumentException>(
                    () => session.DistributedOptimizer(models[1 - session.Rank], parameters => optim.SGD(parameters, 0.1)));
                Assert.Contains($"rank {session.Rank}", wrong.Message, StringComparison.Ordinal);
                session.Groups.World.Barrier();
            });
    }

    private static Trial<nn.Module<Tensor, Tensor>> Training { get; } = new(
        () => nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3)),
        step => [Randoms.Normal(step, 12, 6), Randoms.Normal(100 + step, 12, 3)],
        (module, batch) => nn.functional.mse_loss(module.call(batch[0]), batch[1]));

    private static optim.Optimizer Create(string name, IEnumerable<Parameter> parameters) => name switch
    {
        "momentum" => optim.SGD(parameters, 0.1, momentum: 0.9, weight_decay: 0.01),
        "nesterov" => optim.SGD(parameters, 0.1, momentum: 0.9, nesterov: true),
        "Adam" => optim.Adam(parameters, 0.01),
        _ => optim.AdamW(parameters, 0.01, weight_decay: 0.1),
    };
}
