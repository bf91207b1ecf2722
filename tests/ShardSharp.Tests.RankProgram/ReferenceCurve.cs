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

    /// <summary>Number of steps of the reference.</summary>
    public const int Steps = 20;

    /// <summary>Trains on the ranks of a session and compares each step with the reference; every rank calls it.</summary>
    /// <param name="session">Ranks that see different samples take equal parts of each batch.</param>
    /// <returns>The global loss of each step, for comparisons between layouts.</returns>
    public IReadOnlyList<double> Run(Session session)
    {
        using var scope = NewDisposeScope();
        var (model, optimizer) = Create(session);
        var losses = Train(session, model, optimizer, 0, Steps);
        optimizer.Dispose();
        model.Dispose();
        return losses;
    }

    /// <summary>
    /// Goes on from the newest checkpoint, or begins where there is none; trains some steps as the reference did, and saves the next checkpoint.
    /// </summary>
    /// <param name="session">As for <see cref="Run"/>.</param>
    /// <param name="checkpoints">The folder of the checkpoints.</param>
    /// <param name="steps">Number of steps.</param>
    public void Continue(Session session, string checkpoints, int steps)
    {
        using var scope = NewDisposeScope();
        var (model, optimizer) = Create(session);
        var first = session.ResumeFromCheckpoint(checkpoints)?.UserContent<int>() ?? 0;
        Train(session, model, optimizer, first, steps);
        session.SaveCheckpoint(checkpoints, $"step-{first + steps}", userContent: first + steps);
        optimizer.Dispose();
        model.Dispose();
    }

    private (DistributedModel<LanguageModel> Model, DistributedOptimizer Optimizer) Create(Session session)
    {
        var model = session.DistributedModel(() => HuggingFaceModel.Load(folder), plan: Plan);
        model.Train();
        return (model, session.DistributedOptimizer(
            model, parameters => optim.AdamW(parameters, lr: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1)));
    }

    private double[] Train(Session session, DistributedModel<LanguageModel> model, DistributedOptimizer optimizer, int first, int steps)
    {
        using var file = SafetensorsFile.Open(Path.Combine(folder, "batches.safetensors"));
        var batches = file.Read("batches");
        using var curve = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "training_curve.json")));
        var (losses, norms) = (Numbers("losses"), Numbers("grad_norms"));
        var computed = new double[steps];
        for (var i = 0; i < steps; i++)
        {
            using var ofStep = NewDisposeScope();
            var tokens = PartOf(batches[first + i], session).to(session.Device);
            optimizer.zero_grad();
            using var output = model.Step(
                tokens.narrow(1, 0, tokens.shape[1] - 1), tokens.narrow(1, 1, tokens.shape[1] - 1),
                model.TensorParallelism is null ? LanguageModelLoss.Aligned : (logits, labels) => model.CrossEntropy(logits, labels));
            computed[i] = session.MeanOverDataRanks(output.ReduceMean());
            RequireEqual("loss", first + i, losses[first + i], computed[i]);
            RequireEqual("gradient norm", first + i, norms[first + i], optimizer.ClipGradients(LargestNorm));
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
