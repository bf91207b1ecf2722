namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>What makes tokens of a text that has no added tokens in it, and text of tokens.</summary>
internal abstract class TokenModel
{
    /// <summary>The id of each token, those that were added besides not included.</summary>
    public abstract IReadOnlyDictionary<string, int> Vocabulary { get; }

    /// <summary>The text in the form in which added tokens that ask for it are looked for, and which <see cref="Encode"/> takes.</summary>
    public virtual string Normalize(string text) => text;

    /// <summary>Adds the tokens of a text.</summary>
    /// <param name="text">The text, normalized, not empty.</param>
    /// <param name="begins">Whether the whole text begins with it.</param>
    /// <param name="ids">Where the tokens go.</param>
    public abstract void Encode(string text, bool begins, List<int> ids);

    /// <summary>The text of tokens, added ones among them.</summary>
    public abstract string Decode(IReadOnlyList<string> tokens);
}
