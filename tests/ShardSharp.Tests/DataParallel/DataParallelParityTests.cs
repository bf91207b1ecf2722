using ShardSharp.Testing;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel;

/// <summary>Any number of ranks trains as one: same losses, same parameters, to the rounding of a mean taken in another order.</summary>
public sealed class DataParallelParityTests
{
    private const int Batch = 12;
    private const int Steps = 5;
    private const double Tolerance = 1e-5;

    public static TheoryData<int, RankBackend, bool, int> Layouts
    {
        get
        {
            var layouts = new TheoryData<int, RankBackend, bool, int>();
            foreach (var ranks in (int[])[1, 2, 3, 4])
            {
                foreach (var overlap in (bool[])[true, false])
                {
                    layouts.Add(ranks, RankBackend.Threads, overlap, 1);
                    layouts.Add(ranks, RankBackend.Threads, overlap, Batch / ranks);
                    layouts.Add(ranks, RankBackend.SharedMemory, overlap, 1);
                }
            }

            return layouts;
        }
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Trains_as_one_rank_does(int ranks, RankBackend backend, bool overlap, int microbatches)
    {
        var expected = TrainPlain();
        var share = Batch / ranks;
        var configuration = new ParallelConfiguration
        {
            OverlappingAllReduce = overlap, Microbatches = microbatches, BucketCapacityMegabytes = 0.001,
        };
        RankHarness.RunSessions(
            ranks,
            session =>
            {
                using var scope = NewDisposeScope();
                using var model = session.DistributedModel(() => Randoms.Filled(new Perceptron()));
                using var optimizer = session.DistributedOptimizer(model, parameters => optim.AdamW(parameters, 0.01));
                for (var step = 0; step < Steps; step++)
                {
                    var (inputs, labels) = BatchOf(step);
                    optimizer.zero_grad();
                    using var loss = model.Step(
                        inputs.narrow(0, session.Rank * share, share), labels.narrow(0, session.Rank * share, share),
                        (output, target) => nn.functional.mse_loss(output, target));
                    optimizer.step();
                    AssertClose(expected.Losses[step], session.MeanOverDataRanks(loss.ReduceMean()));
                }

                foreach (var ((name, parameter), reference) in model.NamedParameters.Zip(expected.Parameters))
                    Assert.True(allclose(parameter, reference, Tolerance, 1e-6), name);
            },
            configuration,
            new RankHarnessOptions { Backend = backend, Delays = new DelayInjection(ranks) });
    }

    private static (double[] Losses, Tensor[] Parameters) TrainPlain()
    {
        var losses = new double[Steps];
        var module = Randoms.Filled(new Perceptron());
        using var optimizer = optim.AdamW(module.parameters(), 0.01);
        for (var step = 0; step < Steps; step++)
        {
            using var scope = NewDisposeScope();
            var (inputs, labels) = BatchOf(step);
            optimizer.zero_grad();
            var loss = nn.functional.mse_loss(module.call(inputs), labels);
            loss.backward();
            optimizer.step();
            losses[step] = loss.item<float>();
        }

        return (losses, [.. module.parameters()]);
    }

    private static (Tensor Inputs, Tensor Labels) BatchOf(int step) =>
        (Randoms.Normal(step, Batch, 6), Randoms.Normal(100 + step, Batch, 3));

    private static void AssertClose(double expected, double actual) =>
        Assert.True(Math.Abs(expected - actual) <= Tolerance * Math.Abs(expected), $"expected {expected}, got {actual}");

    private sealed class Perceptron : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _first = nn.Linear(6, 20);
        private readonly nn.Module<Tensor, Tensor> _second = nn.Sequential(nn.Linear(20, 20), nn.GELU(), nn.Linear(20, 20));
        private readonly nn.Module<Tensor, Tensor> _last = nn.Linear(20, 3);

        public Perceptron()
            : base(nameof(Perceptron)) => RegisterComponents();

        public override Tensor forward(Tensor input) => _last.call(_second.call(_first.call(input).tanh()).relu());
    }
}
