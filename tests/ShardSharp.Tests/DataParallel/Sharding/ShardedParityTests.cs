using ShardSharp.Testing;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel.Sharding;

/// <summary>However state is sharded, the ranks train as one would: losses, gradients and weights.</summary>
public sealed class ShardedParityTests
{
    public static TheoryData<string, int, RankBackend> Layouts { get; } = new MatrixTheoryData<string, int, RankBackend>(
        ["optimizer state", "gradients", "parameters"], [1, 2, 4], [RankBackend.Threads, RankBackend.SharedMemory]);

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Trains_as_one_rank_does(string level, int ranks, RankBackend backend) =>
        Training.MustEqualPlainTraining(ranks, Sharded(level, ranks), backend);

    [Theory]
    [InlineData("gradients", RankBackend.Threads)]
    [InlineData("parameters", RankBackend.Threads)]
    [InlineData("parameters", RankBackend.SharedMemory)]
    public void Trains_so_with_shards_in_pairs_of_ranks_and_copies_between_pairs(string level, RankBackend backend) =>
        Training.MustEqualPlainTraining(4, Sharded(level, 2), backend);

    [Theory]
    [InlineData("optimizer state", 2)]
    [InlineData("parameters", 2)]
    [InlineData("parameters", 4)]
    public void Trains_so_with_microbatches(string level, int ranks) =>
        Training.MustEqualPlainTraining(4, Sharded(level, ranks) with { Microbatches = 3, ShardedDataParallelDegree = level == "parameters" ? ranks : 1 });

    [Theory]
    [InlineData("optimizer state")]
    [InlineData("gradients")]
    [InlineData("parameters")]
    public void Trains_so_when_steps_accumulate(string level) => (Training with { Passes = 3 }).MustEqualPlainTraining(2, Sharded(level, 2));

    [Theory]
    [InlineData("optimizer state")]
    [InlineData("parameters")]
    public void Trains_so_when_gradients_are_reduced_after_backward(string level) =>
        Training.MustEqualPlainTraining(2, Sharded(level, 2) with { OverlappingAllReduce = false });

    [Fact]
    public void Trains_so_in_units_that_the_user_chose() =>
        (Training with { IsUnit = name => name is "0" or "4" }).MustEqualPlainTraining(2, Sharded("parameters", 2));

    [Theory]
    [InlineData("SGD")]
    [InlineData("momentum")]
    [InlineData("Adam")]
    [InlineData("RMSProp")]
    [InlineData("Adagrad")]
    public void Trains_so_with_any_optimizer_that_treats_elements_alone(string name) => (Training with
    {
        Optimizer = parameters => name switch
        {
            "SGD" => optim.SGD(parameters, 0.1),
            "momentum" => optim.SGD(parameters, 0.1, momentum: 0.9, weight_decay: 0.01),
            "Adam" => optim.Adam(parameters, 0.01),
            "RMSProp" => optim.RMSProp(parameters, 0.01),
            _ => optim.Adagrad(parameters, 0.01),
        },
    }).MustEqualPlainTraining(2, Sharded("parameters", 2));

    [Theory]
    [InlineData("optimizer state", 2)]
    [InlineData("parameters", 2)]
    [InlineData("parameters", 4)]
    public void Has_the_same_bits_on_threads_and_in_shared_memory_at_any_pace(string level, int degree)
    {
        var runs = new[] { (RankBackend.Threads, 1), (RankBackend.SharedMemory, 2), (RankBackend.Threads, 3) }.Select(run =>
        {
            var bits = new List<string>();
            RankHarness.RunSessions(
                4,
                session =>
                {
                    var moments = Training.Train(session);
                    if (session.IsFirstRank)
                        bits.AddRange(moments.SelectMany(moment => moment.Parameters.Values).Select(values => string.Join(' ', values.Select(BitConverter.SingleToUInt32Bits))));
                },
                Sharded(level, degree) with { ShardedDataParallelDegree = level == "parameters" ? degree : 1 },
                new RankHarnessOptions { Backend = run.Item1, Delays = new DelayInjection(run.Item2) });
            return bits;
        }).ToArray();

        Assert.Equal(runs[0], runs[1]);
        Assert.Equal(runs[0], runs[2]);
    }

    internal static ParallelConfiguration Sharded(string level, int degree) => level switch
    {
        "optimizer state" => new ParallelConfiguration { ShardOptimizerState = true },
        "gradients" => new ParallelConfiguration { ShardedDataParallelDegree = degree, ShardingLevel = ShardingLevel.Gradients },
        _ => new ParallelConfiguration { ShardedDataParallelDegree = degree },
    };

    private static ShardedTrial<nn.Module<Tensor, Tensor>> Training { get; } = new(
        () => nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 17), nn.GELU(), nn.Linear(17, 30), nn.LayerNorm(30), nn.Linear(30, 3)),
        step => [Randoms.Normal(step, 12, 6), Randoms.Normal(100 + step, 12, 3)],
        (module, batch) => nn.functional.mse_loss(module.call(batch[0]), batch[1]));
}
