using System.Collections.Concurrent;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Tests.TensorParallel;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Activations;

/// <summary>A transformer has the same gradients, bit for bit, with checkpoints and without, however it is spread over ranks.</summary>
/// <remarks>Alone in the process: stages are cut by the memory that layers take, which is that of all its threads.</remarks>
[Collection(nameof(WholeProcess))]
public sealed class CheckpointedLayoutsTests
{
    private const int Steps = 3;

    private static readonly ParallelConfiguration Tensor = new() { TensorParallelDegree = 2, PrescaledBatch = true };

    /// <summary>Cut by memory alone, since times that are measured differ from run to run.</summary>
    private static readonly ParallelConfiguration Pipeline = new() { PipelineParallelDegree = 2, Microbatches = 2, MemoryWeight = 1 };

    private static readonly ParallelConfiguration ZeroBubble = Pipeline with { Pipeline = PipelineScheduleKind.ZeroBubbleH1, Microbatches = 4 };
    private static readonly ParallelConfiguration DividedDrain = ZeroBubble with { Pipeline = PipelineScheduleKind.InterleavedDividedDrain };
    private static readonly ParallelConfiguration Sharded = new() { ShardedDataParallelDegree = 2, ShardedPersistenceThreshold = 10 };

    private static readonly Dictionary<string, (int Ranks, ParallelConfiguration Configuration, bool Divides)> Layouts = new()
    {
        ["tensor"] = (2, Tensor, false),
        ["sequence"] = (2, Tensor, true),
        ["sequence, bfloat16"] = (2, Tensor with { BFloat16 = true }, true),
        ["pipeline"] = (2, Pipeline, false),
        ["pipeline, bfloat16"] = (2, Pipeline with { BFloat16 = true }, false),
        ["pipeline of chunks"] = (2, Pipeline with { Pipeline = PipelineScheduleKind.InterleavedChunks }, false),
        ["divided drain"] = (2, DividedDrain, false),
        ["divided drain x tensor, offloaded"] = (4, DividedDrain with { TensorParallelDegree = 2, PrescaledBatch = true, OffloadActivations = true }, true),
        ["zero bubble"] = (2, ZeroBubble, false),
        ["zero bubble, bfloat16"] = (2, ZeroBubble with { BFloat16 = true }, false),
        ["zero bubble in a V"] = (2, Pipeline with { Pipeline = PipelineScheduleKind.ZeroBubbleV }, false),
        ["zero bubble x tensor"] = (4, ZeroBubble with { TensorParallelDegree = 2, PrescaledBatch = true }, true),
        ["zero bubble, offloaded"] = (2, ZeroBubble with { OffloadActivations = true }, false),
        ["sharded"] = (2, Sharded, false),
        ["sharded, bfloat16"] = (2, Sharded with { BFloat16 = true }, false),
        ["tensor x sharded"] = (4, Tensor with { ShardedDataParallelDegree = 2 }, false),
        ["pipeline x data"] = (4, Pipeline with { ShardOptimizerState = true }, false),
        ["pipeline x tensor"] = (4, Pipeline with { TensorParallelDegree = 2, PrescaledBatch = true }, true),
    };

    private static readonly ConcurrentDictionary<string, Lazy<Dictionary<string, float[]>>> Plain = new();

    public static TheoryData<string, string> Combinations { get; } = new MatrixTheoryData<string, string>(Layouts.Keys, ["each", "selective", "group_2"]);

    [Theory]
    [MemberData(nameof(Combinations))]
    public void Has_the_same_gradients(string layout, string strategy)
    {
        var plain = Plain.GetOrAdd(layout, name => new Lazy<Dictionary<string, float[]>>(() => Train(name, strategy: null))).Value;
        var checkpointed = Train(layout, strategy);
        Assert.Equal(plain.Keys.Order(), checkpointed.Keys.Order());
        Assert.All(plain, entry => Assert.Equal(entry.Value, checkpointed[entry.Key]));
    }

    [Theory]
    [InlineData("tensor", "all_reduce")]
    [InlineData("sequence", "reduce_scatter")]
    public void What_is_kept_is_not_summed_over_ranks_again(string layout, string operation)
    {
        var counts = new[] { null, "selective", "each" }.Select(strategy =>
        {
            var count = 0;
            Train(layout, strategy, calls => count = calls.Count(call => call.StartsWith(operation, StringComparison.Ordinal)));
            return count;
        }).ToArray();
        Assert.Equal(counts[0], counts[1]);

        // The first of the two sums of each block; backward does not need the other.
        Assert.Equal(counts[0] + TinyModel.Layers, counts[2]);
    }

    /// <summary>Without checkpoints, and with whole backwards where a schedule of those has the same stages on the same ranks.</summary>
    private static ParallelConfiguration Plainly(ParallelConfiguration configuration) => configuration with
    {
        OffloadActivations = false,
        Pipeline = configuration.Pipeline is PipelineScheduleKind.ZeroBubbleH1 or PipelineScheduleKind.InterleavedDividedDrain
            ? PipelineScheduleKind.Interleaved
            : configuration.Pipeline,
    };

    /// <param name="layout">One of <see cref="Layouts"/>.</param>
    /// <param name="strategy">How blocks are checkpointed; null for not at all.</param>
    /// <param name="observe">Told what the ranks that share layers called in the last step.</param>
    private static Dictionary<string, float[]> Train(string layout, string? strategy, Action<IReadOnlyList<string>>? observe = null)
    {
        var results = new ConcurrentDictionary<string, float[]>();
        var (ranks, configuration, divides) = Layouts[layout];
        RankHarness.RunSessions(
            ranks,
            session =>
            {
                using var outer = NewDisposeScope();
                var plan = TinyModel.Plan(new TinyShape());
                using var model = session.DistributedModel(
                    () => Randoms.Filled(new TinyModel(new TinyShape())),
                    plan: session.Groups.Tensor.Size == 1 ? null : _ => divides ? plan.WithSequenceParallelism() : plan,
                    example: () => [zeros(1, 8, ScalarType.Int64)]);
                using var optimizer = session.DistributedOptimizer(model, parameters => optim.SGD(parameters, 0.5));
                for (var step = 0; step < Steps; step++)
                {
                    using var scope = NewDisposeScope();
                    var data = session.Groups.ReducedData;
                    var tokens = (arange(4 * 9, ScalarType.Int64) * (step + 3) % TinyModel.Vocabulary).reshape(4, 9)
                        .narrow(0, data.Rank * 4 / data.Size, 4 / data.Size);
                    optimizer.zero_grad();
                    var calls = session.FlightRecorder.Entries.Count > 0 ? session.FlightRecorder.Entries.Max(entry => entry.Number) : -1;
                    using var output = model.Step(
                        tokens.narrow(1, 0, 8), tokens.narrow(1, 1, 8), (logits, labels) => model.CrossEntropy(logits, labels));
                    if (step == Steps - 1 && session.Rank == 0)
                    {
                        observe?.Invoke([.. session.FlightRecorder.Entries
                            .Where(entry => entry.Number > calls && entry.Group == session.Groups.Tensor.Name).Select(entry => entry.Operation)]);
                    }

                    Note($"{session.Rank} {step} loss", [(float)output.ReduceMean()]);
                    foreach (var (name, parameter) in model.NamedParameters.Where(named => named.Parameter.grad is not null))
                        Note($"{session.Rank} {step} {name}", [.. parameter.grad!.to_type(ScalarType.Float32).flatten().data<float>()]);
                    optimizer.step();
                }
            },
            strategy is null ? Plainly(configuration)
                : configuration with { ActivationCheckpointing = "layers", ActivationCheckpointingStrategy = strategy });
        return results.ToDictionary();

        void Note(string what, float[] values) => Assert.True(results.TryAdd(what, values));
    }
}
