using System.Collections.Concurrent;
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
        const int Window = 50;
        var held = new List<(long Tensors, long Heap)>();
        Train(
            Checkpointed(strategy) with { Pipeline = kind },
            dropout: 0.4,
            steps: 4 * Window,
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

        // Buffers for what comes ahead of its time are made when it first does.
        Assert.All(held.Skip(1), moment => Assert.InRange(moment.Tensors - held[1].Tensors, 1 - Window, Window - 1));
        Assert.InRange(held.Skip(1).Zip(held.Skip(2), (before, after) => after.Heap - before.Heap).Min(), long.MinValue, 1 << 17);
    }

    /// <summary>Where gradients are asked for by themselves, as the first part does, libtorch's binding ends the process at an error.</summary>
    [Fact]
    public void A_failure_in_the_first_part_is_the_error_of_the_step()
    {
        var failure = Assert.ThrowsAny<Exception>(() => Train(Checkpointed("each"), dropout: 0, wrap: block => new FailsTheSecondTime(block)));
        Assert.Contains("not twice", failure.ToString(), StringComparison.Ordinal);
    }

    private static ParallelConfiguration Checkpointed(string strategy) => Pipeline with
    {
        Pipeline = PipelineScheduleKind.ZeroBubbleH1, ActivationCheckpointing = "layers", ActivationCheckpointingStrategy = strategy,
    };

    private static ConcurrentDictionary<string, float[]> Train(
        ParallelConfiguration configuration, double dropout, int steps = 2, Action<int, Session>? afterStep = null,
        Func<nn.Module<Tensor, Tensor>, nn.Module<Tensor, Tensor>>? wrap = null)
    {
        var results = new ConcurrentDictionary<string, float[]>();
        RankHarness.RunSessions(
            2,
            session =>
            {
                using var model = session.DistributedModel(() => Randoms.Filled(nn.Sequential(
                    [.. Enumerable.Range(0, 6).Select(_ => new CheckpointedModels.Block(dropout)).Select(block => wrap?.Invoke(block) ?? block)])));
                for (var step = 0; step < steps; step++)
                {
                    using (NewDisposeScope())
                    {
                        model.ZeroGradients();
                        using var loss = model.Step(Randoms.Normal(step, 8, Width), zeros(8), (output, _) => output.pow(2).mean());
                        if (afterStep is null)
                        {
                            foreach (var (name, parameter) in model.NamedParameters)
                                results[$"{step} {name}"] = [.. parameter.grad!.data<float>()];
                        }
                    }

                    afterStep?.Invoke(step, session);
                }
            },
            configuration);
        return results;
    }

    private sealed class FailsTheSecondTime : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _inner;

        public FailsTheSecondTime(nn.Module<Tensor, Tensor> inner)
            : base(nameof(FailsTheSecondTime))
        {
            _inner = inner;
            RegisterComponents();
        }

        public override Tensor forward(Tensor input) =>
            is_grad_enabled() ? throw new InvalidOperationException("not twice") : _inner.call(input);
    }
}
