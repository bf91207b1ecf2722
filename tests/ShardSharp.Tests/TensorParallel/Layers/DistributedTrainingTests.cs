using ShardSharp.TensorParallel;
using ShardSharp.TensorParallel.Layers;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel.Layers;

/// <summary>Distributed modules train as one rank does, in both regimes and beside data parallelism, with clipping.</summary>
[Collection(nameof(WholeProcess))]
public sealed class DistributedTrainingTests
{
    private const int Samples = 8;

    private static readonly Lazy<double[]> OneRank = new(() => Train(1, new ParallelConfiguration()));

    public static TheoryData<int, bool, OptimizationGoal, int, bool> Layouts { get; } = new()
    {
        { 2, true, OptimizationGoal.Memory, 1, false },
        { 2, true, OptimizationGoal.Speed, 1, false },
        { 2, false, OptimizationGoal.Memory, 1, false },
        { 2, false, OptimizationGoal.Speed, 1, false },
        { 4, false, OptimizationGoal.Speed, 1, false },
        { 4, false, OptimizationGoal.Memory, 1, true },
        { 4, true, OptimizationGoal.Speed, 2, false },
        { 4, true, OptimizationGoal.Memory, 2, false },
    };

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Losses_and_gradient_norms_are_those_of_one_rank(int ranks, bool prescaled, OptimizationGoal goal, int sharded, bool shardsOptimizer)
    {
        var curve = Train(ranks, new ParallelConfiguration
        {
            TensorParallelDegree = 2, PrescaledBatch = prescaled, Optimize = goal, ShardedDataParallelDegree = sharded, ShardOptimizerState = shardsOptimizer,
            ShardedPersistenceThreshold = 10, Microbatches = ranks == 2 ? 2 : 1,
        });
        Assert.Equal(OneRank.Value.Length, curve.Length);
        Assert.All(OneRank.Value.Zip(curve), pair => Assert.Equal(pair.First, pair.Second, 2e-5 * Math.Abs(pair.First)));
    }

    [Fact]
    public void A_plan_for_distributed_modules_is_refused() => RankHarness.RunSessions(
        2,
        session => Assert.Contains("Leave its plan out", Assert.Throws<TensorParallelException>(() => session.DistributedModel(
            () => new DistributedTransformerLMHead(Options, session.TensorRanks), plan: _ => new TensorParallelPlan(new Dictionary<string, TensorParallelStyle>()))).Message, StringComparison.Ordinal),
        new ParallelConfiguration { TensorParallelDegree = 2, PrescaledBatch = true });

    internal static DistributedLanguageModelOptions Options { get; } = new()
    {
        NumLayers = 2, NumAttentionHeads = 4, AttentionHeadSize = 2, HiddenSize = 8, IntermediateSize = 16, VocabularySize = 11, NumPositions = 8,
        AttentionDropoutProbability = 0, HiddenDropoutProbability = 0, CausalMaskSize = 8, PreLayerNorm = true, PostLayerNorm = false, InitializerRange = 0.3,
    };

    /// <summary>The losses and gradient norms of four steps.</summary>
    private static double[] Train(int ranks, ParallelConfiguration configuration)
    {
        var curve = new List<double>();
        RankHarness.RunSessions(ranks, session =>
        {
            using var scope = NewDisposeScope();
            using var model = session.DistributedModel(() => new DistributedTransformerLMHead(Options, session.TensorRanks));
            using var optimizer = session.DistributedOptimizer(model, parameters => optim.AdamW(parameters, 1e-2));
            using var tokens = randint(11, [Samples, 9], generator: new Generator(7));
            var copies = configuration.PrescaledBatch ? session.Groups.ReducedData : session.Groups.Data;
            var own = tokens.chunk(copies.Size, 0)[copies.Rank];
            for (var step = 0; step < 4; step++)
            {
                using var loss = model.Step(
                    [own.narrow(1, 0, 8), own.narrow(1, 1, 8)], (module, batch) => model.CrossEntropy(module.call(batch[0]), batch[1]));
                var norm = optimizer.ClipGradients(0.5);
                optimizer.step();
                optimizer.zero_grad();
                var mean = session.MeanOverDataRanks(loss.ReduceMean());
                if (session.IsFirstRank)
                    curve.AddRange([mean, norm]);
            }
        }, configuration);
        return [.. curve];
    }
}
