using ShardSharp.DataParallel;
using ShardSharp.Testing;
using TorchSharp.Modules;
using static ShardSharp.Tests.DataParallel.Sharding.ShardedParityTests;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel.Sharding;

/// <summary>What a rank holds is its share.</summary>
public sealed class ShardedStateTests
{
    public static TheoryData<string, int> LevelsAndRanks { get; } = new MatrixTheoryData<string, int>(Levels, [2, 4]);

    [Theory]
    [MemberData(nameof(LevelsAndRanks))]
    public void Pieces_and_their_gradients_are_a_share_of_all_elements(string level, int ranks) => RankHarness.RunSessions(
        ranks,
        session =>
        {
            using var scope = NewDisposeScope();
            using var model = session.DistributedModel(() => nn.Sequential(nn.Linear(64, 100), nn.GELU(), nn.Linear(100, 64), nn.LayerNorm(64)));
            var total = model.Module.parameters().Sum(parameter => parameter.numel());
            model.Step([ones(2, 64)], (module, share) => module.call(share[0]).sum());

            var pieces = model.Parameters.Sum(parameter => parameter.numel());
            Assert.InRange(pieces, 0.9 * total / ranks, (1.02 * total / ranks) + 64);
            Assert.Equal(pieces, model.Parameters.Sum(parameter => parameter.grad!.numel()));
            Assert.All(model.Module.parameters(), parameter => Assert.Null(parameter.grad));
            Assert.Equal(model.Module.named_parameters().Select(named => named.name), model.NamedParameters.Select(named => named.Name));
        },
        Sharded(level, ranks));

    [Fact]
    public void On_one_host_the_parameters_of_all_ranks_are_the_same_memory() => RankHarness.RunSessions(
        2,
        session =>
        {
            using var scope = NewDisposeScope();
            using var model = session.DistributedModel(() => Randoms.Filled(nn.Sequential(nn.Linear(8, 8))));
            var weight = ((Linear)model.Module[0]).weight!;
            using (no_grad())
            {
                session.Groups.World.Barrier();
                if (session.Rank == 1)
                    weight[3, 4] = 42;
                session.Groups.World.Barrier();
            }

            Assert.Equal(42, weight[3, 4].item<float>());
        },
        Sharded("parameters", 2),
        new RankHarnessOptions { Backend = RankBackend.SharedMemory });

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Gradients_of_layers_that_backward_has_left_are_freed_while_it_goes_on(bool overlap) => RankHarness.RunSessions(
        2,
        session =>
        {
            using var scope = NewDisposeScope();
            using var model = session.DistributedModel(() => nn.Sequential([.. Enumerable.Range(0, 8).Select(_ => nn.Linear(8, 8))]));
            var held = 0;
            model.Step([ones(2, 8).requires_grad_()], (module, share) => module.call(BackwardMarker.Mark(share[0], () => held = module.parameters().Count(HasGradient))).sum());

            // Called when backward has come to the model's input: by then all gradients are known, and without overlap still there.
            Assert.Equal(overlap ? 0 : 16, held);
        },
        Sharded("parameters", 2) with { OverlappingAllReduce = overlap });

    private static bool HasGradient(Parameter parameter)
    {
        using var gradient = parameter.grad;
        return gradient is not null;
    }
}
