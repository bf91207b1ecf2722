using System.Text.RegularExpressions;

namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>What a byte-level byte-pair encoding is made of.</summary>
internal sealed partial record TokenizerSettings
{
    /// <summary>The id of each token, those that were added to the vocabulary included.</summary>
    public required IReadOnlyDictionary<string, int> Vocabulary { get; init; }

    /// <summary>The pairs that become one token, the first to be tried first; a space between the two.</summary>
    public required IReadOnlyList<string> Merges { get; init; }

    /// <summary>Tokens that are found in a text before anything else is done with it.</summary>
    public required IReadOnlyDictionary<string, int> Special { get; init; }

    /// <summary>How a text is split into words.</summary>
    public Regex Words { get; init; } = Gpt2Words;

    /// <summary>Whether composed characters take the place of combining ones (Unicode's form C).</summary>
    public bool Composes { get; init; }

    /// <summary>Whether a word that is a token is taken as it is, even where merges would not lead to it.</summary>
    public bool IgnoresMerges { get; init; }

    /// <summary>Tokens before every text.</summary>
    public IReadOnlyList<int> Prefix { get; init; } = [];

    /// <summary>Tokens after every text.</summary>
    public IReadOnlyList<int> Suffix { get; init; } = [];

    /// <summary>GPT-2's split of a text into words, with the space before a word kept with it (Radford et al. 2019).</summary>
    [GeneratedRegex(@"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")]
    private static partial Regex Gpt2Words { get; }
}
