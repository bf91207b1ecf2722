using ShardSharp.TensorParallel;
using ShardSharp.Testing;
using ShardSharp.Tests.Checkpoints;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel.Styles;

/// <summary>
/// A fused projection with fewer key heads than ranks: some of its rows are on one rank, others on several. It trains, is clipped, saved and loaded as
/// on one rank.
/// </summary>
public sealed class FusedHeadsTests
{
    private const int Vocabulary = 11, Heads = 4, KeyHeads = 2, Size = 3, Steps = 2;
    private const double LargestNorm = 0.05;

    private static readonly LayoutCase[] Cases =
    [
        new("one", 1, new()), new("tensor 2", 2, new() { TensorParallelDegree = 2 }), new("tensor 4", 4, new() { TensorParallelDegree = 4 }),
        new("tensor 4 x sharded 2", 8, new() { TensorParallelDegree = 4, ShardedDataParallelDegree = 2 }),
    ];

    private static readonly Lazy<(double[] Norms, Dictionary<string, Tensor> State)> Alone = new(() =>
    {
        (double[], Dictionary<string, Tensor>) trained = default;
        using var folder = new TemporaryFolder();
        RankHarness.RunSessions(1, session => trained = Train(session, folder.Path, 2 * Steps, resume: false, save: false), With(Cases[0]));
        return trained;
    });

    public static TheoryData<int, int> Moves { get; } = new() { { 2, 0 }, { 0, 2 }, { 2, 1 }, { 3, 2 }, { 1, 3 } };

    /// <summary>Two steps in one layout, saved, and two more in another, are four on one rank.</summary>
    [Theory]
    [MemberData(nameof(Moves))]
    public void Trains_and_moves_as_one_rank(int from, int to)
    {
        var (norms, expected) = Alone.Value;
        using var folder = new TemporaryFolder();
        RankHarness.RunSessions(
            Cases[from].Ranks,
            session => MustBe(norms[..Steps], Train(session, folder.Path, Steps, resume: false, save: true).Norms),
            With(Cases[from]));
        RankHarness.RunSessions(
            Cases[to].Ranks,
            session =>
            {
                using var scope = NewDisposeScope();
                var (others, state) = Train(session, folder.Path, Steps, resume: true, save: false);
                MustBe(norms[Steps..], others);
                Assert.Equal(expected.Keys.Order(), state.Keys.Order());
                Assert.All(state, own => Assert.True(allclose(expected[own.Key], own.Value, 1e-4, 1e-5), own.Key));
            },
            With(Cases[to]));
    }

    private static void MustBe(double[] expected, double[] norms) => Assert.All(expected.Zip(norms), pair => Assert.Equal(pair.First, pair.Second, 1e-4 * pair.First));

    private static ParallelConfiguration With(LayoutCase layout) => layout.Configuration with { PrescaledBatch = true, Seed = 4 };

    private static (double[] Norms, Dictionary<string, Tensor> State) Train(Session session, string folder, int steps, bool resume, bool save)
    {
        using var model = session.DistributedModel(
            () => Randoms.Filled(nn.Sequential(
                ("tokens", nn.Embedding(Vocabulary, 6)), ("attention", new GroupedAttention(Heads, KeyHeads, Size, bias: true, fused: true)),
                ("norm", nn.LayerNorm(6)), ("last", nn.Linear(6, Vocabulary)))),
            plan: _ => new TensorParallelPlan(StylePropertyTests.Grouped(Heads, KeyHeads, Size, fused: true)));

        // Not Adam: biases of keys change nothing, and it would make steps of what rounding leaves of their gradients.
        using var optimizer = session.DistributedOptimizer(model, parameters => optim.SGD(parameters, 0.5, momentum: 0.9));
        if (resume)
            session.ResumeFromCheckpoint(folder);
        var norms = new double[steps];
        var ranks = session.Groups.ReducedData;
        for (var step = 0; step < steps; step++)
        {
            using var scope = NewDisposeScope();
            var tokens = ((arange(4 * 8, ScalarType.Int64) * (step + (resume ? Steps : 0) + 3)) % Vocabulary).reshape(4, 8).narrow(0, ranks.Rank * 4 / ranks.Size, 4 / ranks.Size);
            optimizer.zero_grad();
            using var output = model.Step(tokens.narrow(1, 0, 7), tokens.narrow(1, 1, 7), (logits, labels) => model.CrossEntropy(logits, labels));
            norms[step] = optimizer.ClipGradients(LargestNorm);
            Assert.True(norms[step] > LargestNorm);
            optimizer.step();
        }

        if (save)
            session.SaveCheckpoint(folder);
        var gathered = model.StateDict();
        using var whole = model.GatherParameters();
        Assert.All(model.Module.named_parameters(), named => Assert.True(gathered[named.name].allclose(named.parameter, 0, 0), named.name));
        return (norms, new Dictionary<string, Tensor>(gathered));
    }

    private sealed record LayoutCase(string Name, int Ranks, ParallelConfiguration Configuration);
}
