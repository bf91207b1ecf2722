namespace TrainGpt;

/// <summary>What one training run is made of, with the defaults: everything that is not about how the model is spread over ranks.</summary>
public sealed record TrainingOptions
{
    public int Steps { get; init; } = 400;
    public int Batch { get; init; } = 16;
    public int Sequence { get; init; } = 128;
    public int Hidden { get; init; } = 128;
    public int Layers { get; init; } = 4;
    public int Heads { get; init; } = 4;
    public double LearningRate { get; init; } = 2e-3;
    public int Warmup { get; init; } = 30;
    public int EvaluateEvery { get; init; } = 100;
    public int Seed { get; init; } = 1;
    public string Prompt { get; init; } = "And the LORD said";
    public int Generate { get; init; } = 120;
    public string? Checkpoints { get; init; }
    public string Output { get; init; } = Path.Combine("runs", $"{TimeProvider.System.GetLocalNow():yyyyMMdd-HHmmss}");

    /// <summary>The text to learn and the tokenizer's vocabulary, copied beside the program when it is built.</summary>
    public static string DataFolder => Path.Combine(AppContext.BaseDirectory, "data");

    /// <summary>
    /// The factor on the learning rate at a step (from 0): a linear rise over the warm-up, then half a cosine down to a tenth
    /// (Loshchilov and Hutter 2017).
    /// </summary>
    public double LearningRateFactor(int step)
    {
        if (step < Warmup)
            return (step + 1.0) / Warmup;
        var progress = (double)(step - Warmup) / Math.Max(1, Steps - Warmup);
        return 0.1 + 0.45 * (1 + Math.Cos(Math.PI * progress));
    }
}
