using System.Collections.Concurrent;
using ShardSharp.Activations;
using ShardSharp.Native;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Activations;

/// <summary>Checkpoints in stages whose backward is divided. Alone, since one of them counts what the process allocates.</summary>
[Collection(nameof(WholeProcess))]
public sealed class ZeroBubbleCheckpointTests
{
    private const int Width = CheckpointedModels.Width;

    private static readonly ParallelConfiguration Pipeline = new() { PipelineParallelDegree = 2, Microbatches = 4 };

    [Theory]
    [InlineData("each")]
    [InlineData("selective")]
    [InlineData("contiguous")]
    public void Dropout_is_the_same_when_a_region_computes_again(string strategy)
    {
        var plain = Train(Pipeline, dropout: 0.4);
        var divided = Train(Checkpointed(strategy), dropout: 0.4);
        Assert.NotEmpty(plain);
        Assert.Equal(plain.Keys.Order(), divided.Keys.Order());
        Assert.All(plain, entry => Assert.Equal(entry.Value, divided[entry.Key]));
    }

    [Theory]
    [InlineData("each", PipelineScheduleKind.ZeroBubbleH1)]
    [InlineData("selective", PipelineScheduleKind.ZeroBubbleV)]
    public void Holds_the_same_after_many_steps(string strategy, PipelineScheduleKind kind)
    {
        const int Window = 34;
        var held = new List<(long Tensors, long Heap)>();
        Train(
            Checkpointed(strategy) with { Pipeline = kind, Microbatches = 2 },
            dropout: 0.4,
            layers: 4,
            steps: 6 * Window,
            afterStep: (step, session) =>
            {
                session.Groups.World.Barrier();
                if (step % Window == Window - 1 && session.Rank == 0)
                {
                    GC.Collect();
                    GC.WaitForPendingFinalizers();
                    held.Add((Tensor.TotalCount, OperatingSystem.IsLinux() ? GlibcHeap.Bytes.InUse : 0));
                }

                session.Groups.World.Barrier();
            });

        // Buffers for what comes ahead of its time are made when it first does; the heap grows now and then for other reasons.
        Assert.All(held.Skip(1), moment => Assert.InRange(moment.Tensors - held[1].Tensors, 1 - Window, Window - 1));
        Assert.InRange(held.Zip(held.Skip(1), (before, after) => after.Heap - before.Heap).Min(), long.MinValue, 1 << 17);
    }

    /// <summary>Where gradients are asked for by themselves, as the first part does, libtorch's binding ends the process at an error.</summary>
    [Fact]
    public void A_failure_in_the_first_part_is_the_error_of_the_step()
    {
        var failure = Assert.ThrowsAny<Exception>(() => Train(
            Checkpointed("each"), dropout: 0,
            wrap: (_, block) => new Around(block, input => is_grad_enabled() ? throw new InvalidOperationException("not twice") : block.call(input))));
        Assert.Contains("not twice", failure.ToString(), StringComparison.Ordinal);
    }

    /// <summary>
    /// A budget that keeps some layers and computes others again, from the third step on. Ranks of one process see each other's tensors where they measure,
    /// so that now and then it seems too little, or enough for all.
    /// </summary>
    [Fact]
    public void A_plan_within_a_budget_is_divided_too()
    {
        const int Samples = 4 * 800;
        const int MostAttempts = 10;
        ActivationPlan? plan = null;
        var plain = Train(Pipeline, dropout: 0, samples: Samples, steps: 4);
        var divided = plain;
        for (var attempt = 0; attempt < MostAttempts && plan?.Choices.Distinct().Count() is null or 1; attempt++)
        {
            try
            {
                divided = Train(
                    Pipeline with
                    {
                        Pipeline = PipelineScheduleKind.ZeroBubbleH1,
                        ActivationCheckpointing = "layers",
                        ActivationMemoryBudgetMegabytes = 0.4,
                    },
                    dropout: 0, samples: Samples, steps: 4, ended: model => plan = model.ActivationPlan);
            }
            catch (InvalidOperationException failure) when (failure.Message.Contains("is too little", StringComparison.Ordinal))
            {
                plan = null;
            }
        }

        Assert.NotSame(plain, divided);
        Assert.All(plain, entry => Assert.Equal(entry.Value, divided[entry.Key]));
        Assert.True(plan!.Choices.Distinct().Count() > 1, plan.ToString());
    }

    [Fact]
    public void Calls_that_the_program_checkpoints_are_divided_too()
    {
        var plain = Train(Pipeline, dropout: 0, wrap: (_, block) => new Around(block, block.call));
        var divided = Train(
            Pipeline with { Pipeline = PipelineScheduleKind.ZeroBubbleH1 }, dropout: 0,
            wrap: (session, block) => new Around(block, input => session.Checkpoint(block, input)));
        Assert.All(plain, entry => Assert.Equal(entry.Value, divided[entry.Key]));
    }

    private static ParallelConfiguration Checkpointed(string strategy) => Pipeline with
    {
        Pipeline = PipelineScheduleKind.ZeroBubbleH1,
        ActivationCheckpointing = "layers",
        ActivationCheckpointingStrategy = strategy,
    };

    private static ConcurrentDictionary<string, float[]> Train(
        ParallelConfiguration configuration, double dropout, int layers = 6, int samples = 8, int steps = 2, Action<int, Session>? afterStep = null,
        Func<Session, nn.Module<Tensor, Tensor>, nn.Module<Tensor, Tensor>>? wrap = null, Action<DistributedModel>? ended = null)
    {
        var results = new ConcurrentDictionary<string, float[]>();
        RankHarness.RunSessions(
            2,
            session =>
            {
                using var model = session.DistributedModel(() => Randoms.Filled(nn.Sequential(
                    [.. Enumerable.Range(0, layers).Select(_ => new CheckpointedModels.Block(dropout)).Select(block => wrap?.Invoke(session, block) ?? block)])));
                for (var step = 0; step < steps; step++)
                {
                    using (NewDisposeScope())
                    {
                        model.ZeroGradients();
                        using var loss = model.Step(Randoms.Normal(step, samples, Width), zeros(samples), (output, _) => output.pow(2).mean());
                        if (afterStep is null)
                        {
                            foreach (var (name, parameter) in model.NamedParameters)
                                results[$"{step} {name}"] = [.. parameter.grad!.data<float>()];
                        }
                    }

                    afterStep?.Invoke(step, session);
                }

                ended?.Invoke(model);
            },
            configuration);
        return results;
    }

    /// <summary>A module that calls another in its own way.</summary>
    private sealed class Around : nn.Module<Tensor, Tensor>
    {
        private readonly Func<Tensor, Tensor> _call;

        public Around(nn.Module<Tensor, Tensor> inner, Func<Tensor, Tensor> call)
            : base(nameof(Around))
        {
            _call = call;
            register_module(nameof(inner), inner);
        }

        public override Tensor forward(Tensor input) => _call(input);
    }
}
