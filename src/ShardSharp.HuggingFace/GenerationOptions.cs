using static TorchSharp.torch;

namespace ShardSharp.HuggingFace;

/// <summary>How <see cref="LanguageModel.Generate"/> continues a text.</summary>
public sealed record GenerationOptions
{
    /// <summary>How many tokens to add at most.</summary>
    /// <value>100</value>
    public int NewTokens { get; init; } = 100;

    /// <summary>0 takes the likeliest token each time; below 1 likelier tokens are favoured, above 1 rarer ones.</summary>
    /// <value>0</value>
    public double Temperature { get; init; }

    /// <summary>Only this many of the likeliest tokens are drawn from.</summary>
    /// <value>Null: all.</value>
    public int? TopK { get; init; }

    /// <summary>
    /// Where the random numbers come from, on the CPU; needed if <see cref="Temperature"/> is not 0. Ranks that generate together have one
    /// each, with the same seed.
    /// </summary>
    /// <value>Null</value>
    public Generator? Generator { get; init; }

    /// <summary>Tokens that end the text; the one that did is its last.</summary>
    /// <value>Null: the <c>eos_token_id</c> of the model's configuration.</value>
    public IReadOnlyCollection<int>? StopTokens { get; init; }

    /// <summary>How many of the latest tokens the model looks at.</summary>
    /// <value>Null: as many as the model's configuration has positions.</value>
    public int? Context { get; init; }

    internal void Validate()
    {
        if (NewTokens < 1)
            throw new ArgumentException($"{nameof(NewTokens)} {NewTokens}: must be at least 1.");
        if (!double.IsFinite(Temperature) || Temperature < 0)
            throw new ArgumentException($"{nameof(Temperature)} {Temperature}: must be 0 or positive, for example 0.8.");
        if (TopK < 1)
            throw new ArgumentException($"{nameof(TopK)} {TopK}: must be at least 1, for example 40.");
        if (Context < 1)
            throw new ArgumentException($"{nameof(Context)} {Context}: must be at least 1.");
        if (Temperature > 0 && Generator is null)
            throw new ArgumentException($"{nameof(Temperature)} {Temperature}: drawing tokens needs a {nameof(Generator)}, for example new torch.Generator(1).");
    }
}
