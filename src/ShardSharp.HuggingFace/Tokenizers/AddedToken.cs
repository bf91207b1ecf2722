namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>A token that is found in a text as it is written.</summary>
/// <param name="Content">What it looks like.</param>
/// <param name="Id">Its id.</param>
internal sealed record AddedToken(string Content, int Id)
{
    /// <summary>Whether it takes the whitespace before it along.</summary>
    public bool TakesLeft { get; init; }

    /// <summary>Whether it takes the whitespace behind it along.</summary>
    public bool TakesRight { get; init; }

    /// <summary>Whether it is looked for in the normalized text.</summary>
    public bool IsNormalized { get; init; }

    /// <summary>Whether it is no part of what people write, so that a reader may want it left out.</summary>
    public bool IsSpecial { get; init; } = true;
}
