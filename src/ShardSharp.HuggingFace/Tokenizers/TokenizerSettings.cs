namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>What a tokenizer is made of.</summary>
internal sealed record TokenizerSettings
{
    /// <summary>What makes tokens of a text.</summary>
    public required TokenModel Model { get; init; }

    /// <summary>Tokens that are found in a text before anything else is done with it.</summary>
    public required IReadOnlyList<AddedToken> Added { get; init; }

    /// <summary>Tokens before every text.</summary>
    public IReadOnlyList<int> Prefix { get; init; } = [];

    /// <summary>Tokens after every text.</summary>
    public IReadOnlyList<int> Suffix { get; init; } = [];
}
