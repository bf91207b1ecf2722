using System.Diagnostics;
using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

/// <summary>Trains on random tokens, and measures: some steps to warm up, then the timed ones, then one more for the memory.</summary>
internal sealed class TrainBenchmark(TrainOptions options, int rank)
{
    public const double LearningRate = 1e-3;

    /// <summary>Mean cross-entropy of logits [batch, sequence, vocabulary] against labels [batch, sequence].</summary>
    public static Tensor Loss(Tensor logits, Tensor labels) => nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten());

    /// <param name="createTrainer">Makes what is measured.</param>
    /// <param name="afterStep">Given the inputs and labels of each step but the last, once its time has been taken; null for nothing.</param>
    public TrainMeasurement Run(Func<ITrainer> createTrainer, Action<Tensor, Tensor>? afterStep = null)
    {
        set_num_threads(options.Threads);
        manual_seed(options.Seed);
        using var trainer = createTrainer();
        using var tokens = new Generator((ulong)options.Seed);
        var losses = new List<double>();
        var seconds = new List<double>();

        var first = new ProcessMemory();
        for (var i = 0; i < options.Warmup; i++)
            losses.Add(Step(trainer, tokens, afterStep).Loss);
        first.Dispose();

        for (var i = 0; i < options.Steps; i++)
        {
            var (loss, time) = Step(trainer, tokens, afterStep);
            losses.Add(loss);
            seconds.Add(time.TotalSeconds);
        }

        var last = new ProcessMemory();
        Step(trainer, tokens, null);
        last.Dispose();
        var peak = Math.Max(first.PeakProportionalSet, last.PeakProportionalSet);
        return new TrainMeasurement(seconds, peak, ProcessMemory.PeakResidentSet, losses, trainer.ActivationMebibytes);
    }

    private (double Loss, TimeSpan Time) Step(ITrainer trainer, Generator tokens, Action<Tensor, Tensor>? after)
    {
        using var scope = NewDisposeScope();
        // Every rank draws the whole batch and takes its part: the tokens do not depend on the number of ranks.
        Tensor inputs = Draw(tokens), labels = Draw(tokens);
        var watch = Stopwatch.StartNew();
        var loss = trainer.Step(inputs, labels);
        var time = watch.Elapsed;
        after?.Invoke(inputs, labels);
        return (loss, time);
    }

    private Tensor Draw(Generator tokens)
    {
        long share = options.Batch / options.DataRanks;
        return randint(options.Shape.Vocabulary, [options.Batch, options.Shape.Sequence], ScalarType.Int64, generator: tokens)
            .narrow(0, rank % options.DataRanks * share, share);
    }
}

/// <summary>What one rank has measured.</summary>
/// <param name="Seconds">Time of each step.</param>
/// <param name="PeakProportionalSet">In MiB.</param>
/// <param name="PeakResidentSet">In MiB.</param>
/// <param name="Losses">Mean loss of the global batch at each step.</param>
/// <param name="Activations">What a microbatch takes at the peak, in MiB; 0 where nobody measures.</param>
internal sealed record TrainMeasurement(
    IReadOnlyList<double> Seconds, double PeakProportionalSet, double PeakResidentSet, IReadOnlyList<double> Losses, double Activations)
{
    /// <summary>Median time of a step.</summary>
    public double StepSeconds => Median.Of(Seconds);
}
