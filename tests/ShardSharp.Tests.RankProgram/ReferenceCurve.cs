using System.Text.Json;
using ShardSharp.Checkpoints;
using ShardSharp.HuggingFace;
using ShardSharp.TensorParallel;
using Xunit;
using static TorchSharp.torch;

namespace ShardSharp.Tests.HuggingFace;

/// <summary>
/// A short training of a tiny model that transformers and PyTorch have done before: every layout of ranks must repeat its losses and
/// gradient norms. The folders of tests/data/huggingface hold such trainings.
/// </summary>
/// <param name="folder">The model, <c>batches.safetensors</c>, and <c>training_curve.json</c>.</param>
public sealed class ReferenceCurve(string folder)
{
    /// <summary>AdamW of the reference, whose gradients are clipped to this norm before each update.</summary>
    private const double LargestNorm = 1;

    /// <summary>How far a loss or a norm may be from the reference, as a part of it.</summary>
    public double Tolerance { get; init; } = 1e-5;

    /// <summary>By which plan the model is spread over tensor-parallel ranks; the model's own if null.</summary>
    public Func<LanguageModel, TensorParallelPlan>? Plan { get; init; }

    /// <summary>Trains on the ranks of a session and compares each step with the reference; every rank calls it.</summary>
    /// <param name="session">Ranks that see different samples take equal parts of each batch.</param>
    /// <returns>The global loss of each step, for comparisons between layouts.</returns>
    public IReadOnlyList<double> Run(Session session)
    {
        using var scope = NewDisposeScope();
        using var model = session.DistributedModel(() => HuggingFaceModel.Load(folder), plan: Plan);
        using var optimizer = session.DistributedOptimizer(
            model, parameters => optim.AdamW(parameters, lr: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1));
        model.Train();

        using var file = SafetensorsFile.Open(Path.Combine(folder, "batches.safetensors"));
        var batches = file.Read("batches");
        using var curve = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "training_curve.json")));
        var losses = Numbers("losses");
        var norms = Numbers("grad_norms");
        var computed = new double[losses.Length];
        for (var step = 0; step < losses.Length; step++)
        {
            using var ofStep = NewDisposeScope();
            var tokens = PartOf(batches[step], session);
            optimizer.zero_grad();
            using var output = model.Step(
                tokens.narrow(1, 0, tokens.shape[1] - 1), tokens.narrow(1, 1, tokens.shape[1] - 1),
                model.TensorParallelism is null ? LanguageModelLoss.Aligned : (logits, labels) => model.CrossEntropy(logits, labels));
            computed[step] = session.MeanOverDataRanks(output.ReduceMean());
            RequireEqual("loss", step, losses[step], computed[step]);
            RequireEqual("gradient norm", step, norms[step], optimizer.ClipGradients(LargestNorm));
            optimizer.step();
        }

        return computed;

        double[] Numbers(string key) => [.. curve.RootElement.GetProperty(key).EnumerateArray().Select(value => value.GetDouble())];
    }

    /// <summary>The rows of a batch that a rank trains on.</summary>
    private static Tensor PartOf(Tensor batch, Session session)
    {
        var ranks = session.Groups.ReducedData;
        Assert.True(batch.shape[0] % ranks.Size == 0, $"{ranks.Size} ranks cannot share a batch of {batch.shape[0]} equally.");
        var rows = batch.shape[0] / ranks.Size;
        return batch.narrow(0, ranks.Rank * rows, rows);
    }

    private void RequireEqual(string what, int step, double expected, double actual) => Assert.True(
        Math.Abs(actual - expected) <= Tolerance * Math.Abs(expected), $"{what} of step {step}: {actual} instead of {expected}");
}
