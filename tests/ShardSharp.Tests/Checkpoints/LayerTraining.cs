using ShardSharp.Checkpoints;
using ShardSharp.HuggingFace;
using ShardSharp.Testing;
using ShardSharp.Tests.HuggingFace;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Checkpoints;

/// <summary>A training of a tiny GPT-2, whose embedding and head are one, in layouts that divide its layers and between them.</summary>
internal sealed class LayerTraining : IDisposable
{
    private readonly Session _session;

    public LayerTraining(Session session, string? partitionOf = null)
    {
        _session = session;
        if (partitionOf is not null)
            Assert.True(session.UsePartitionOf(partitionOf));
        Model = session.DistributedModel(() => HuggingFaceModel.Load(ReferenceModels.PathOf("gpt2-unscaled")));
        Optimizer = session.DistributedOptimizer(Model, parameters => optim.AdamW(parameters, 0.01));
    }

    public DistributedModel<LanguageModel> Model { get; }

    public DistributedOptimizer Optimizer { get; }

    /// <summary>The layouts: a name, ranks, and the configuration.</summary>
    public static (string Name, int Ranks, ParallelConfiguration Configuration)[] Layouts { get; } =
    [
        ("one rank", 1, new()),
        ("sharded 2", 2, new() { ShardedDataParallelDegree = 2 }),
        ("tensor 2", 2, new() { TensorParallelDegree = 2 }),
        ("tensor 4", 4, new() { TensorParallelDegree = 4 }),
        ("tensor 2, sharded 2", 4, new() { TensorParallelDegree = 2, ShardedDataParallelDegree = 2, ShardedPersistenceThreshold = 100 }),
        ("tensor 2, optimizer state 2", 4, new() { TensorParallelDegree = 2, ShardOptimizerState = true }),
        ("stages 2", 2, new() { PipelineParallelDegree = 2 }),
        ("stages 4", 4, new() { PipelineParallelDegree = 4 }),
        ("stages 2, chunks", 2, new() { PipelineParallelDegree = 2, Pipeline = PipelineScheduleKind.InterleavedChunks }),
        ("stages 2, copies 2", 4, new() { PipelineParallelDegree = 2 }),
        ("stages 2, optimizer state 2", 4, new() { PipelineParallelDegree = 2, ShardOptimizerState = true }),
        ("stages 2, tensor 2", 4, new() { PipelineParallelDegree = 2, TensorParallelDegree = 2 }),
    ];

    /// <summary>Runs a program on the ranks of a layout.</summary>
    public static void Run(string layout, Action<Session> program, Func<ParallelConfiguration, ParallelConfiguration>? change = null)
    {
        var (_, ranks, configuration) = Layouts.First(known => known.Name == layout);
        configuration = configuration with
        {
            SplitTiedParameters = true,
            Microbatches = configuration.PipelineParallelDegree > 1 ? 2 : 1,
            PrescaledBatch = configuration.TensorParallelDegree > 1,
        };
        RankHarness.RunSessions(
            ranks,
            session =>
            {
                using var scope = NewDisposeScope();
                program(session);
            },
            change?.Invoke(configuration) ?? configuration);
    }

    /// <summary>Trains on the same batches in every layout.</summary>
    /// <param name="first">Number of the first step.</param>
    /// <param name="count">How many steps.</param>
    /// <returns>The loss of each step.</returns>
    public double[] Train(int first, int count) => [.. Enumerable.Range(first, count).Select(Step)];

    /// <summary>What this rank has of the tensors of a checkpoint.</summary>
    public IEnumerable<HeldTensor> Held() => new TrainingState([(0, Model)], [(0, Optimizer)], [], []).Collect(_session.Rank, null).Held
        .Where(tensor => !tensor.Name.StartsWith("random/", StringComparison.Ordinal));

    /// <summary>Everything that a checkpoint has of tensors, whole; on the first rank alone.</summary>
    public Dictionary<string, byte[]> State() => TensorGathering.Gather(_session.Groups.World, [.. Held()], firstOnly: true)
        .ToDictionary(tensor => tensor.Key, tensor => tensor.Value.bytes.ToArray());

    public void Dispose()
    {
        Optimizer.Dispose();
        Model.Dispose();
    }

    private double Step(int step)
    {
        using var scope = NewDisposeScope();
        var ranks = _session.Groups.ReducedData;
        var tokens = ((arange(8 * 12) * (2 * step + 3)) % 47).reshape(8, 12).narrow(0, ranks.Rank * 8 / ranks.Size, 8 / ranks.Size);
        var loss = _session.MeanOverDataRanks(Model.Step(tokens, tokens, LanguageModelLoss.NextToken).ReduceMean());

        // The norm is a sum over ranks, which depends on what each has.
        Optimizer.ClipGradients(0.5);
        Optimizer.step();
        Optimizer.zero_grad();
        return loss;
    }
}
