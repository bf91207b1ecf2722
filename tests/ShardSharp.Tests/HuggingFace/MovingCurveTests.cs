using ShardSharp.Testing;
using ShardSharp.Tests.Checkpoints;
using ShardSharp.Topology;

namespace ShardSharp.Tests.HuggingFace;

/// <summary>
/// A training that moves from layout to layout by checkpoints, and computes activations again in some of them, gives the losses and gradient norms
/// that transformers and PyTorch gave.
/// </summary>
public sealed class MovingCurveTests
{
    private static readonly (int Ranks, ParallelConfiguration Layout)[] Layouts =
    [
        (2, new() { TensorParallelDegree = 2, PrescaledBatch = true }),
        (4, new() { PipelineParallelDegree = 2, TensorParallelDegree = 2, PrescaledBatch = true, Microbatches = 2, ActivationCheckpointing = "layers" }),
        (1, new()),
        (2, new()
        {
            PipelineParallelDegree = 2, Microbatches = 4, Pipeline = PipelineScheduleKind.ZeroBubbleH1, AutoPartition = false, DefaultPartition = 0,
        }),
        (4, new() { ShardedDataParallelDegree = 2, TensorParallelDegree = 2, PrescaledBatch = true, ActivationCheckpointing = "layers" }),
        (4, new() { ShardedDataParallelDegree = 2 }),
        (4, new() { PipelineParallelDegree = 2, Microbatches = 2, ActivationCheckpointing = "layers", OffloadActivations = true }),
        (4, new() { TensorParallelDegree = 4, PrescaledBatch = true }),
        (2, new() { ShardOptimizerState = true, Microbatches = 2 }),
        (8, new() { PipelineParallelDegree = 2, TensorParallelDegree = 2, PrescaledBatch = true }),
    ];

    [Theory]
    [InlineData("gpt2")]
    [InlineData("llama")]
    public void Training_goes_on_in_any_layout(string model)
    {
        using var folder = new TemporaryFolder();
        var curve = new ReferenceCurve(ReferenceModels.PathOf(model));
        foreach (var (ranks, layout) in Layouts)
        {
            RankHarness.RunSessions(
                ranks, session => curve.Continue(session, folder.Path, ReferenceCurve.Steps / Layouts.Length),
                layout with { SplitTiedParameters = true, PartitionPatterns = layout.AutoPartition ? null : InABlock(model) });
        }
    }

    /// <summary>Patterns for two stages that meet behind the attention of the second of four layers.</summary>
    internal static string InABlock(string model) => model == "gpt2"
        ? "**h.1._halves.1=1, **h.2.*=1, **h.3.*=1, **ln_f=1, lm_head=1"
        : "**layers.1._halves.1=1, **layers.2.*=1, **layers.3.*=1, *.norm=1, lm_head=1";
}
