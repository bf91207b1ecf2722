using System.Diagnostics;
using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

/// <summary>
/// What a pipeline could reach without communication: each of its ranks has the whole model, and trains on its own part of the batch in microbatches of the
/// same size. In turn with the pipeline's steps, so that a machine whose speed changes slows both.
/// </summary>
/// <param name="session">The pipeline's session.</param>
/// <param name="options">What the pipeline trains.</param>
internal sealed class PipelineBound(Session session, TrainOptions options) : IDisposable
{
    private readonly PlainTrainer _trainer = new(options with { Microbatches = options.Microbatches / options.Ranks });
    private readonly List<double> _seconds = [];

    /// <summary>One step, at the same time on all ranks.</summary>
    /// <param name="inputs">Tokens of the pipeline's step.</param>
    /// <param name="labels">The tokens to predict.</param>
    public void Step(Tensor inputs, Tensor labels)
    {
        var mine = (Inputs: inputs.chunk(options.Ranks)[session.Rank], Labels: labels.chunk(options.Ranks)[session.Rank]);
        session.Groups.World.Barrier();
        var since = Stopwatch.GetTimestamp();
        _trainer.Step(mine.Inputs, mine.Labels);
        _seconds.Add(Stopwatch.GetElapsedTime(since).TotalSeconds);
        session.Groups.World.Barrier();
    }

    /// <summary>Compares with the pipeline, step by step. Every rank calls it.</summary>
    /// <param name="pipeline">What the ranks measured of it.</param>
    public BoundResult Result(IReadOnlyList<TrainMeasurement> pipeline)
    {
        var apart = session.Groups.World.AllGatherObject(_seconds[options.Warmup..].ToArray());
        double tokens = options.Batch * options.Shape.Sequence;
        double[] bounds = [.. Enumerable.Range(0, options.Steps).Select(step => apart.Sum(rank => tokens / options.Ranks / rank[step]))];
        double[] ratios = [.. bounds.Select((bound, step) => tokens / pipeline.Max(rank => rank.Seconds[step]) / bound)];
        return new BoundResult(Median.Of(bounds), Median.Of(ratios), [.. ratios.Select(ratio => Math.Round(ratio, 4))]);
    }

    public void Dispose() => _trainer.Dispose();
}

/// <summary>How fast a pipeline is beside its ranks apart.</summary>
/// <param name="TokensPerS">Tokens per second of all ranks apart, at the median.</param>
/// <param name="Ratio">How much of that the pipeline reaches: the median over the steps, each compared with the one after it.</param>
/// <param name="Ratios">The same for each step.</param>
internal sealed record BoundResult(double TokensPerS, double Ratio, IReadOnlyList<double> Ratios);
