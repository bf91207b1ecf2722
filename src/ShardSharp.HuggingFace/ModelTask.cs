namespace ShardSharp.HuggingFace;

/// <summary>What a language model was trained to predict.</summary>
public enum ModelTask
{
    /// <summary>The next token, from those before it.</summary>
    CausalLanguageModel,

    /// <summary>Tokens that are hidden, from all others.</summary>
    MaskedLanguageModel,
}
