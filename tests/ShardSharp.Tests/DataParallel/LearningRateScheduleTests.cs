using ShardSharp.Testing;
using static TorchSharp.torch;
using static TorchSharp.torch.optim.lr_scheduler;

namespace ShardSharp.Tests.DataParallel;

/// <summary>TorchSharp's schedulers take a distributed optimizer and do to it what they do to the plain one.</summary>
public sealed class LearningRateScheduleTests
{
    private const int Steps = 12;

    public static TheoryData<string> Schedules { get; } =
    [
        nameof(StepLR), nameof(MultiStepLR), nameof(ExponentialLR), nameof(CosineAnnealingLR), nameof(LambdaLR), nameof(LinearLR),
        nameof(OneCycleLR), nameof(CyclicLR), nameof(ReduceLROnPlateau),
    ];

    [Theory]
    [MemberData(nameof(Schedules))]
    public void Gives_the_rates_of_the_plain_optimizer(string schedule)
    {
        using var module = nn.Linear(2, 1);
        using var plain = optim.SGD(module.parameters(), 0.1, momentum: 0.9);
        var expected = Rates(schedule, plain);
        Assert.True(expected.Distinct().Count() > 1, "the schedule does not change the rate");

        RankHarness.RunSessions(
            1,
            session =>
            {
                using var model = session.DistributedModel(() => nn.Linear(2, 1));
                using var optimizer = session.DistributedOptimizer(model, parameters => optim.SGD(parameters, 0.1, momentum: 0.9));
                Assert.Equal(expected, Rates(schedule, optimizer));
                Assert.Equal(expected[^1], optimizer.Inner.ParamGroups.Single().LearningRate);
            });
    }

    [Fact]
    public void Trains_as_on_one_rank()
    {
        // A rate that a schedule sets before each step reaches the update.
        var trial = new Trial<TorchSharp.Modules.Linear>(
            () => nn.Linear(4, 2), step => [Randoms.Normal(step, 12, 4)], (module, batch) => module.call(batch[0]).pow(2).mean());
        var constant = trial.TrainAlone()[0].Value;
        var inputs = Enumerable.Range(0, trial.Steps).Select(step => Randoms.Normal(step, 12, 4)).ToArray();
        using var alone = Randoms.Filled(nn.Linear(4, 2));
        using var plain = optim.SGD(alone.parameters(), 0.1);
        var schedule = ExponentialLR(plain, 0.5);
        foreach (var input in inputs)
        {
            plain.zero_grad();
            alone.call(input).pow(2).mean().backward();
            plain.step();
            schedule.step();
        }

        Assert.False(alone.weight!.allclose(constant), "the schedule has no effect");
        RankHarness.RunSessions(
            2,
            session =>
            {
                using var model = session.DistributedModel(() => Randoms.Filled(nn.Linear(4, 2)));
                using var optimizer = session.DistributedOptimizer(model, parameters => optim.SGD(parameters, 0.1));
                var own = ExponentialLR(optimizer, 0.5);
                foreach (var input in inputs)
                {
                    optimizer.zero_grad();
                    model.Step([input.narrow(0, session.Rank * 6, 6)], (module, batch) => module.call(batch[0]).pow(2).mean());
                    optimizer.step();
                    own.step();
                }

                Assert.True(model.Module.weight!.allclose(alone.weight!, 1e-5, 1e-6));
            });
    }

    private static double[] Rates(string name, optim.Optimizer optimizer)
    {
        var schedule = Create(name, optimizer);
        var rates = new double[Steps];
        for (var step = 0; step < Steps; step++)
        {
            optimizer.step();
            if (name == nameof(ReduceLROnPlateau))
                schedule.step(1.0);
            else
                schedule.step();
            rates[step] = optimizer.ParamGroups.Single().LearningRate;
        }

        return rates;
    }

    private static LRScheduler Create(string name, optim.Optimizer optimizer) => name switch
    {
        nameof(StepLR) => StepLR(optimizer, 3, 0.5),
        nameof(MultiStepLR) => MultiStepLR(optimizer, [2, 7], 0.5),
        nameof(ExponentialLR) => ExponentialLR(optimizer, 0.9),
        nameof(CosineAnnealingLR) => CosineAnnealingLR(optimizer, Steps, 0.001),
        nameof(LambdaLR) => LambdaLR(optimizer, epoch => 1.0 / (1 + epoch)),
        nameof(LinearLR) => LinearLR(optimizer, 0.1, 1.0, 6),
        nameof(OneCycleLR) => OneCycleLR(optimizer, 0.5, total_steps: Steps + 1),
        nameof(CyclicLR) => CyclicLR(optimizer, 0.01, 0.1, step_size_up: 3),
        _ => ReduceLROnPlateau(optimizer, patience: 2),
    };
}
