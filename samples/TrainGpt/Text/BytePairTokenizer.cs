using System.Text.RegularExpressions;
using Microsoft.ML.Tokenizers;

namespace TrainGpt.Text;

/// <summary>Byte-level byte-pair encoding as GPT-2 does it (Radford et al. 2019), from a vocab.json and a merges.txt.</summary>
public sealed partial class BytePairTokenizer
{
    /// <summary>The special token that separates documents; every GPT-2 style vocabulary has it.</summary>
    public const string EndOfText = "<|endoftext|>";

    private readonly BpeTokenizer _tokenizer;

    /// <summary>Reads vocab.json and merges.txt from <paramref name="folder"/>.</summary>
    public BytePairTokenizer(string folder)
    {
        var options = new BpeOptions(Path.Combine(folder, "vocab.json"), Path.Combine(folder, "merges.txt")) { ByteLevel = true };
        var vocabulary = options.Vocabulary.ToDictionary();
        var special = new Dictionary<string, int> { [EndOfText] = vocabulary[EndOfText] };
        options.SpecialTokens = special;
        options.PreTokenizer = new RegexPreTokenizer(WordPattern, special);
        VocabularySize = vocabulary.Count;
        _tokenizer = BpeTokenizer.Create(options);
    }

    /// <summary>How many tokens there are: ids run from 0 to this number less one.</summary>
    public int VocabularySize { get; }

    /// <summary>GPT-2's split of a text into words, with the space before a word kept with it.</summary>
    [GeneratedRegex(@"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")]
    private static partial Regex WordPattern { get; }

    public IReadOnlyList<int> Encode(string text) => _tokenizer.EncodeToIds(text);

    public string Decode(IEnumerable<int> ids) => _tokenizer.Decode(ids) ?? string.Empty;
}
