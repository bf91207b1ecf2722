using ShardSharp.Testing;
using TorchSharp.Modules;
using static ShardSharp.Tests.DataParallel.Sharding.ShardedParityTests;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel.Sharding;

/// <summary>Any module trains sharded as it does alone, without a change to it.</summary>
public sealed class ShardedModuleTests
{
    public static TheoryData<string, string, bool> Models { get; } = new MatrixTheoryData<string, string, bool>(
        Levels, [.. SharedParameterTests.Names.Except(["CalledByItsParent"]), nameof(Pairs), nameof(Records), "alone"], [false, true]);

    [Theory]
    [MemberData(nameof(Models))]
    public void Trains_as_on_one_rank(string level, string model, bool separateHosts) => new ShardedTrial<nn.Module>(
        () => model switch
        {
            nameof(Pairs) => new Pairs(),
            nameof(Records) => new Records(),
            "alone" => nn.Linear(8, 8),
            _ => SharedParameterTests.Create(model),
        },
        step => [Randoms.Normal(step, 12, 8), Randoms.Normal(100 + step, 12, 8)],
        (module, batch) => nn.functional.mse_loss(
            module switch
            {
                Pairs pairs => pairs.call(batch[0], batch[1]).Item2,
                Records records => records.call(batch[0]).Result,
                _ => ((nn.Module<Tensor, Tensor>)module).call(batch[0]),
            },
            batch[1])).MustEqualPlainTraining(4, Sharded(level, 2), Hosts(separateHosts));

    [Theory]
    [MemberData(nameof(ShardedParityTests.LevelsAndHosts), MemberType = typeof(ShardedParityTests))]
    public void Leaves_frozen_parameters_alone(string level, bool separate) =>
        (Experts(_ => 1) with
        {
            BeforeStep = (_, module) => module.Freeze(module.First),
        }).MustEqualPlainTraining(2, Sharded(level, 2), Hosts(separate));

    [Theory]
    [MemberData(nameof(ShardedParityTests.LevelsAndHosts), MemberType = typeof(ShardedParityTests))]
    public void Leaves_parameters_alone_that_were_frozen_before(string level, bool separate) => (Experts(row => row % 2) with
    {
        Create = () =>
        {
            var module = new UnusedParameterTests.Experts();
            module.Freeze(module.First);
            return module;
        },
    }).MustEqualPlainTraining(2, Sharded(level, 2), Hosts(separate));

    [Theory]
    [MemberData(nameof(ShardedParityTests.LevelsAndHosts), MemberType = typeof(ShardedParityTests))]
    public void Trains_parameters_from_the_step_on_in_which_they_are_thawed(string level, bool separate) => (Experts(row => row % 2) with
    {
        BeforeStep = (step, module) => module.Freeze(step < 2 ? module.First : module.Second),
    }).MustEqualPlainTraining(2, Sharded(level, 2), Hosts(separate));

    [Theory]
    [InlineData("optimizer state", 2)]
    [InlineData("parameters", 2)]
    [InlineData("parameters", 4)]
    public void Counts_as_zero_what_some_ranks_do_not_use(string level, int ranks) =>
        Experts(row => row < 6 ? 0 : 1).MustEqualPlainTraining(ranks, Sharded(level, ranks));

    [Theory]
    [MemberData(nameof(ShardedParityTests.LevelsAndHosts), MemberType = typeof(ShardedParityTests))]
    public void Gives_no_gradient_to_what_no_rank_uses(string level, bool separate)
    {
        var trial = Experts(_ => 0);
        Assert.Contains(trial.TrainAlone(), moment => moment.Gradients.ContainsValue(null));
        trial.MustEqualPlainTraining(4, Sharded(level, 2), Hosts(separate));
    }

    [Fact]
    public void Several_element_types_train_together() => RankHarness.RunSessions(
        2,
        session =>
        {
            using var scope = NewDisposeScope();
            using var alone = Randoms.Filled(new TwoTypes());
            using var plain = optim.SGD(alone.parameters(), 0.1);
            using var model = session.DistributedModel(() => Randoms.Filled(new TwoTypes()));
            using var optimizer = session.DistributedOptimizer(model, parameters => optim.SGD(parameters, 0.1));
            for (var step = 0; step < 3; step++)
            {
                Tensor[] batch = [Randoms.Normal(step, 8, 5)];
                plain.zero_grad();
                alone.call(batch[0]).pow(2).mean().backward();
                plain.step();
                optimizer.zero_grad();
                model.Step(Trial<TwoTypes>.ShareOf(batch, session), (module, share) => module.call(share[0]).pow(2).mean());
                optimizer.step();
            }

            using var _ = model.GatherParameters();
            Assert.All(model.Module.parameters().Zip(alone.parameters()), pair => Assert.True(pair.First.allclose(pair.Second, 1e-5, 1e-6)));
        },
        Sharded("parameters", 2));

    [Theory]
    [InlineData("optimizer state")]
    [InlineData("parameters")]
    public void Buffers_are_those_of_the_first_rank_after_a_step(string level)
    {
        var means = new float[2][];
        RankHarness.RunSessions(
            2,
            session =>
            {
                using var scope = NewDisposeScope();
                using var model = session.DistributedModel(() => nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)));
                using var optimizer = session.DistributedOptimizer(model, parameters => optim.SGD(parameters, 0.1));
                model.Step([Randoms.Normal(session.Rank, 8, 4)], (module, share) => module.call(share[0]).pow(2).mean());
                optimizer.step();
                means[session.Rank] = model.Module.named_buffers().First(named => named.name == "1.running_mean").buffer.data<float>().ToArray();
                session.Groups.World.Barrier();
            },
            Sharded(level, 2));

        Assert.Contains(means[0], mean => mean != 0);
        Assert.Equal(means[0], means[1]);
    }

    [Theory]
    [MemberData(nameof(ShardedParityTests.LevelsAndHosts), MemberType = typeof(ShardedParityTests))]
    public void Evaluation_and_generation_between_steps_change_nothing(string level, bool separate)
    {
        var trial = new ShardedTrial<nn.Module<Tensor, Tensor>>(
            () => nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.5), nn.Linear(16, 8)),
            step => [Randoms.Normal(step, 12, 8)],
            (module, batch) => module.call(batch[0]).pow(2).mean())
        {
            BeforeStep = (step, module) =>
            {
                module.eval();
                using var _ = no_grad();
                using var scope = NewDisposeScope();
                var state = Randoms.Normal(step, 1, 8);
                for (var i = 0; i < 3; i++)
                    state = module.call(state);
                Assert.False(state.requires_grad);
            },
        };
        trial.MustEqualPlainTraining(2, Sharded(level, 2), Hosts(separate));
    }

    private static ShardedTrial<UnusedParameterTests.Experts> Experts(Func<int, int> kindOfRow) => new(
        () => new UnusedParameterTests.Experts(),
        step => [Randoms.Normal(step, 12, 5), tensor(Enumerable.Range(0, 12).Select(kindOfRow).ToArray())],
        (module, batch) => module.call(batch[0], batch[1]));

    /// <summary>Takes and returns two tensors, in blocks that do so too.</summary>
    private sealed class Pairs : nn.Module<Tensor, Tensor, (Tensor, Tensor)>
    {
        private readonly ModuleList<PairBlock> _blocks = new(new PairBlock(), new PairBlock(), new PairBlock());

        public Pairs()
            : base(nameof(Pairs)) => RegisterComponents();

        public override (Tensor, Tensor) forward(Tensor left, Tensor right)
        {
            var pair = (left, right);
            foreach (var block in _blocks)
                pair = block.call(pair.left, pair.right);
            return pair;
        }
    }

    private sealed class PairBlock : nn.Module<Tensor, Tensor, (Tensor, Tensor)>
    {
        private readonly nn.Module<Tensor, Tensor> _left = nn.Linear(8, 8);
        private readonly nn.Module<Tensor, Tensor> _right = nn.Linear(8, 8);

        public PairBlock()
            : base(nameof(PairBlock)) => RegisterComponents();

        public override (Tensor, Tensor) forward(Tensor left, Tensor right) => (_left.call(right).tanh(), _right.call(left).tanh() + right);
    }

    /// <summary>Returns a record, from layers that do so too.</summary>
    private sealed class Records : nn.Module<Tensor, Output>
    {
        private readonly nn.Module<Tensor, Output> _body = new RecordBlock();
        private readonly nn.Module<Tensor, Tensor> _head = nn.Linear(8, 8);

        public Records()
            : base(nameof(Records)) => RegisterComponents();

        public override Output forward(Tensor input)
        {
            var body = _body.call(input);
            return body with { Result = _head.call(body.Result) + body.Hidden };
        }
    }

    private sealed class RecordBlock : nn.Module<Tensor, Output>
    {
        private readonly nn.Module<Tensor, Tensor> _first = nn.Linear(8, 8);
        private readonly nn.Module<Tensor, Tensor> _second = nn.Linear(8, 8);

        public RecordBlock()
            : base(nameof(RecordBlock)) => RegisterComponents();

        public override Output forward(Tensor input)
        {
            var hidden = _first.call(input).tanh();
            return new Output(hidden, _second.call(hidden));
        }
    }

    private sealed record Output(Tensor Hidden, Tensor Result);

    private sealed class TwoTypes : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _single = nn.Linear(5, 7);
        private readonly nn.Module<Tensor, Tensor> _double = nn.Linear(7, 3, dtype: ScalarType.Float64);

        public TwoTypes()
            : base(nameof(TwoTypes)) => RegisterComponents();

        public override Tensor forward(Tensor input) => _double.call(_single.call(input).tanh().to(ScalarType.Float64));
    }
}
