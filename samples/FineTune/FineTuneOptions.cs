namespace FineTune;

/// <summary>What one run is made of, with the defaults: everything that is not about how the model is spread over ranks.</summary>
internal sealed record FineTuneOptions
{
    private const string FirstOfSamuel = "Now there was a certain man of Ramathaimzophim";

    /// <summary>A folder of the Hugging Face format with a tokenizer.</summary>
    public string Model { get; init; } = Path.Combine(AppContext.BaseDirectory, "model");

    /// <summary>A text file; null for the books of Samuel, which the sample's own model has not read.</summary>
    public string? Text { get; init; }

    public int Steps { get; init; } = 150;
    public int Batch { get; init; } = 16;
    public int Sequence { get; init; } = 96;
    public double LearningRate { get; init; } = 2e-3;

    /// <summary>The rank of LoRA's adapters; 0 trains all parameters.</summary>
    public int LoraRank { get; init; }

    /// <summary>Which linears get adapters; empty for all but the head.</summary>
    public IReadOnlyCollection<string> LoraTargets { get; init; } = [];

    public double LoraDropout { get; init; }
    public int Seed { get; init; } = 1;
    public string Prompt { get; init; } = "And David said";
    public int Generate { get; init; } = 60;
    public double Temperature { get; init; } = 0.7;
    public string Output { get; init; } = Path.Combine("runs", $"fine-tune-{TimeProvider.System.GetLocalNow():yyyyMMdd-HHmmss}");

    /// <summary>The text to learn.</summary>
    public string ReadText()
    {
        if (Text is not null)
            return File.ReadAllText(Text);
        var bible = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "data", "genesis-to-samuel.txt"));
        return bible[bible.IndexOf(FirstOfSamuel, StringComparison.Ordinal)..];
    }

    /// <summary>The factor on the learning rate at a step (from 0): a short rise, then half a cosine down to nothing.</summary>
    public double LearningRateFactor(int step)
    {
        var warmup = Math.Min(10, Steps);
        return step < warmup ? (step + 1.0) / warmup : 0.5 * (1 + Math.Cos(Math.PI * (step - warmup) / Math.Max(1, Steps - warmup)));
    }
}
