using ShardSharp.Testing;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel.Sharding;

/// <summary>However state is sharded, the ranks train as one would: losses, gradients and weights.</summary>
public sealed class ShardedParityTests
{
    public static TheoryData<string, int, RankBackend> Layouts { get; } = new MatrixTheoryData<string, int, RankBackend>(
        Levels, [1, 2, 4], [RankBackend.Threads, RankBackend.SharedMemory]);

    public static TheoryData<string, bool> LevelsAndHosts { get; } = new MatrixTheoryData<string, bool>(Levels, [true, false]);

    internal static string[] Levels => ["optimizer state", "gradients", "parameters"];

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Trains_as_one_rank_does(string level, int ranks, RankBackend backend) =>
        Training.MustEqualPlainTraining(ranks, Sharded(level, ranks), new RankHarnessOptions { Backend = backend });

    [Theory]
    [MemberData(nameof(LevelsAndHosts))]
    public void Trains_so_on_one_host_and_on_several(string level, bool separate) => Training.MustEqualPlainTraining(3, Sharded(level, 3), Hosts(separate));

    [Theory]
    [InlineData("gradients", false)]
    [InlineData("gradients", true)]
    [InlineData("parameters", false)]
    [InlineData("parameters", true)]
    public void Trains_so_with_shards_in_pairs_of_ranks_and_copies_between_pairs(string level, bool separate) =>
        Training.MustEqualPlainTraining(4, Sharded(level, 2), Hosts(separate));

    [Theory]
    [MemberData(nameof(LevelsAndHosts))]
    public void Trains_so_with_microbatches(string level, bool separate) =>
        Training.MustEqualPlainTraining(4, Sharded(level, 2) with { Microbatches = 3 }, Hosts(separate));

    [Theory]
    [MemberData(nameof(LevelsAndHosts))]
    public void Trains_so_when_steps_accumulate(string level, bool separate) =>
        (Training with { Passes = 3 }).MustEqualPlainTraining(2, Sharded(level, 2), Hosts(separate));

    [Theory]
    [MemberData(nameof(LevelsAndHosts))]
    public void Trains_so_when_gradients_are_reduced_after_backward(string level, bool separate) =>
        Training.MustEqualPlainTraining(2, Sharded(level, 2) with { OverlappingAllReduce = false }, Hosts(separate));

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Trains_so_in_units_that_the_user_chose(bool separate) =>
        (Training with { IsUnit = name => name is "0" or "4" }).MustEqualPlainTraining(2, Sharded("parameters", 2), Hosts(separate));

    [Fact]
    public void Trains_so_when_nothing_can_be_gathered_ahead() =>
        Training.MustEqualPlainTraining(2, Sharded("parameters", 2) with { ShardedMaximumLiveParameters = 500 }, Hosts(separate: true));

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
    public void Has_the_same_bits_on_threads_in_shared_memory_and_by_messages_at_any_pace(string level, int degree)
    {
        RankHarnessOptions[] options =
        [
            new() { Delays = new DelayInjection(1) }, new() { Backend = RankBackend.SharedMemory, Delays = new DelayInjection(2) }, new() { Delays = new DelayInjection(3) },
            new() { SeparateHosts = true, Delays = new DelayInjection(4) },
        ];
        var runs = options.Select(run =>
        {
            var bits = new List<string>();
            RankHarness.RunSessions(
                4,
                session =>
                {
                    var moments = Training.Train(session);
                    if (session.IsFirstRank)
                        bits.AddRange(moments.SelectMany(moment => moment.Parameters.Values).Select(BitsOf));
                },
                Sharded(level, degree),
                run);
            return bits;
        }).ToArray();

        Assert.All(runs, run => Assert.Equal(runs[0], run));
    }

    private static string BitsOf(float[] values) => string.Join(' ', values.Select(BitConverter.SingleToUInt32Bits));

    /// <summary>Shards so that on several hosts the weights of layers are gathered for each use and the biases are not.</summary>
    internal static ParallelConfiguration Sharded(string level, int degree) => new()
    {
        ShardOptimizerState = level == "optimizer state",
        ShardedDataParallelDegree = level == "optimizer state" ? 1 : degree,
        ShardingLevel = level == "gradients" ? ShardingLevel.Gradients : ShardingLevel.Parameters,
        ShardedPersistenceThreshold = 32,
    };

    internal static RankHarnessOptions Hosts(bool separate) => new() { SeparateHosts = separate };

    private static ShardedTrial<nn.Module<Tensor, Tensor>> Training { get; } = new(
        () => nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 17), nn.GELU(), nn.Linear(17, 30), nn.LayerNorm(30), nn.Linear(30, 3)),
        step => [Randoms.Normal(step, 12, 6), Randoms.Normal(100 + step, 12, 3)],
        (module, batch) => nn.functional.mse_loss(module.call(batch[0]), batch[1]));
}
