using ShardSharp.DataParallel.Sharding;
using ShardSharp.Modules;
using ShardSharp.Testing;
using ShardSharp.Topology;
using TorchSharp.Modules;
using static ShardSharp.Tests.DataParallel.Sharding.ShardedParityTests;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel.Sharding;

/// <summary>Where ranks share no memory, parameters are whole only while they are used.</summary>
public sealed class ParameterGatheringTests
{
    /// <summary>Elements of one layer of the model.</summary>
    private const int Layer = 256;

    [Theory]
    [InlineData(1_000_000, 2)]
    [InlineData(2 * Layer, 2)]
    [InlineData((2 * Layer) - 1, 1)]
    public void The_next_module_is_gathered_ahead_if_it_may_be(long maximumLive, int expected) => RankHarness.Run(
        2,
        group =>
        {
            using var scope = NewDisposeScope();
            using var module = nn.Sequential([.. Enumerable.Range(0, 4).Select(_ => nn.Linear(16, 16, hasBias: false))]);
            var rules = new UnitRules { MaximumElements = Layer, PersistenceThreshold = 0 };
            ShardedUnit[] units = [.. ModuleUnits.Divide(module, rules).Select(unit => new ShardedUnit(unit, group, isReleased: true, precision: null, CPU))];
            var gathering = new ParameterGathering(units, group.Split("gather", [[0, 1]]), maximumLive, action => action());
            var live = new List<long>();
            foreach (var layer in module.children().Cast<Linear>())
                layer.register_forward_pre_hook((_, input) => Noted(input));
            using (no_grad())
            {
                for (var pass = 0; pass < 2; pass++)
                    module.call(ones(2, 16));
            }

            // In the first pass nobody knows yet which module comes next; in the second all do, but for the last.
            Assert.Equal([1, 1, 1, 1, expected, expected, expected], live.Take(7));
            gathering.Dispose();
            Array.ForEach(units, unit => unit.Dispose());

            Tensor Noted(Tensor input)
            {
                live.Add(gathering.Live / Layer);
                return input;
            }
        },
        Hosts(separate: true));

    [Fact]
    public void Between_steps_a_rank_has_its_slice_alone() => RankHarness.RunSessions(
        2,
        session =>
        {
            using var scope = NewDisposeScope();
            using var model = session.DistributedModel(() => Randoms.Filled(nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64))));
            using var optimizer = session.DistributedOptimizer(model, parameters => optim.AdamW(parameters, 0.01));
            model.Step([ones(2, 64)], (module, share) => module.call(share[0]).sum());
            optimizer.step();

            var weight = ((Linear)model.Module[0]).weight!;
            Assert.Equal(0, weight.numel());
            using (model.GatherParameters())
            {
                Assert.Equal(64 * 64, weight.numel());
                Assert.True(weight.detach().ne(0).all().item<bool>());
            }

            Assert.Equal(0, weight.numel());
        },
        Sharded("parameters", 2),
        Hosts(separate: true));

    [Theory]
    [InlineData("optimizer state")]
    [InlineData("gradients")]
    public void Parameters_that_are_not_sharded_stay(string level) => RankHarness.RunSessions(
        2,
        session =>
        {
            using var scope = NewDisposeScope();
            using var model = session.DistributedModel(() => nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64)));
            Assert.All(model.Module.parameters(), parameter => Assert.NotEqual(0, parameter.numel()));
        },
        Sharded(level, 2),
        Hosts(separate: true));

    [Fact]
    public void A_weight_used_outside_of_its_modules_call_is_told_of()
    {
        var wrong = Assert.Throws<InvalidOperationException>(() => Borrowing(isUnit: null, Sharded("parameters", 2)));

        Assert.Contains("GatherParameters", wrong.Message, StringComparison.Ordinal);
        Assert.Contains("isUnit", wrong.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_weight_used_outside_of_its_modules_call_may_be_left_to_the_model() =>
        Borrowing(isUnit: name => name == "_entry", Sharded("parameters", 2));

    [Fact]
    public void A_weight_used_outside_of_its_modules_call_may_be_kept() => Borrowing(isUnit: null, Sharded("gradients", 2));

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void One_rank_may_generate_alone_while_parameters_are_gathered(bool separate) => RankHarness.RunSessions(
        2,
        session =>
        {
            using var scope = NewDisposeScope();
            using var model = session.DistributedModel(() => Randoms.Filled(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))));
            using var optimizer = session.DistributedOptimizer(model, parameters => optim.SGD(parameters, 0.1));
            for (var step = 0; step < 2; step++)
            {
                model.Step([ones(2, 8)], (module, share) => module.call(share[0]).sum());
                optimizer.step();
                using var whole = model.GatherParameters();
                using var _ = no_grad();
                if (session.IsFirstRank)
                    Assert.True(model.Module.call(ones(1, 8)).isfinite().all().item<bool>());
            }
        },
        Sharded("parameters", 2),
        Hosts(separate));

    [Fact]
    public void A_module_that_writes_to_its_input_is_told_what_to_do()
    {
        var wrong = Assert.Throws<InvalidOperationException>(() => RankHarness.RunSessions(
            2,
            session =>
            {
                using var scope = NewDisposeScope();
                using var model = session.DistributedModel(() => nn.Sequential(nn.Linear(8, 8), nn.ReLU(inplace: true), nn.Linear(8, 8)));
                model.Step([ones(2, 8)], (module, share) => module.call(share[0]).sum());
            },
            Sharded("parameters", 2),
            Hosts(separate: true)));

        Assert.Contains("sdp_sharding_level", wrong.Message, StringComparison.Ordinal);
    }

    private static void Borrowing(Func<string, bool>? isUnit, ParallelConfiguration configuration) =>
        new ShardedTrial<nn.Module<Tensor, Tensor>>(
            () => SharedParameterTests.Create("CalledByItsParent"),
            step => [Randoms.Normal(step, 12, 8)],
            (module, batch) => module.call(batch[0]).pow(2).mean())
        { IsUnit = isUnit }
            .MustEqualPlainTraining(2, configuration, Hosts(separate: true));
}
