namespace TrainGpt;

/// <summary>What one training run is made of: everything that is not about how the model is spread over ranks.</summary>
public sealed record TrainingOptions
{
    public required int Steps { get; init; }
    public required int Batch { get; init; }
    public required int Sequence { get; init; }
    public required int Hidden { get; init; }
    public required int Layers { get; init; }
    public required int Heads { get; init; }
    public required double LearningRate { get; init; }
    public required int Warmup { get; init; }
    public required int EvaluateEvery { get; init; }
    public required int Seed { get; init; }
    public required string Prompt { get; init; }
    public required int Generate { get; init; }
    public required string Output { get; init; }

    /// <summary>The text to learn and the tokenizer's vocabulary, copied beside the program when it is built.</summary>
    public static string DataFolder => Path.Combine(AppContext.BaseDirectory, "data");

    /// <summary>
    /// The factor on the learning rate at a step (from 0): a linear rise over the warm-up, then half a cosine down to a tenth
    /// (Loshchilov and Hutter 2017).
    /// </summary>
    public double LearningRateFactor(int step)
    {
        if (step < Warmup) return (step + 1.0) / Warmup;
        var progress = (double)(step - Warmup) / Math.Max(1, Steps - Warmup);
        return 0.1 + 0.45 * (1 + Math.Cos(Math.PI * progress));
    }
}
