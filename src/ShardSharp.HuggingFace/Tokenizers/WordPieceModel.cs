using System.Text;
using Microsoft.ML.Tokenizers;

namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>The longest tokens that the words of a text begin with, one after another (WordPiece), as BERT has it (Devlin et al. 2019).</summary>
internal sealed class WordPieceModel : TokenModel
{
    private readonly WordPieceTokenizer _pieces;
    private readonly BertText _text;
    private readonly string _prefix;
    private readonly int _longestWord, _unknown;

    /// <param name="vocabulary">The id of each token, from 0 without gaps.</param>
    /// <param name="text">What is done with a text before.</param>
    /// <param name="unknown">The token of words that are not made of tokens, which is in the vocabulary.</param>
    /// <param name="prefix">What tokens begin with that do not begin a word.</param>
    /// <param name="longestWord">Characters of the longest word that is not unknown.</param>
    public WordPieceModel(IReadOnlyDictionary<string, int> vocabulary, BertText text, string unknown = "[UNK]", string prefix = "##", int longestWord = 100)
    {
        (Vocabulary, _text, _prefix, _longestWord, _unknown) = (vocabulary, text, prefix, longestWord, vocabulary[unknown]);
        using var lines = new MemoryStream(Encoding.UTF8.GetBytes(string.Join('\n', vocabulary.OrderBy(token => token.Value).Select(token => token.Key))));

        // It counts characters in units of UTF-16, of which each has two at most, and takes memory on the stack for as many.
        _pieces = WordPieceTokenizer.Create(lines, new WordPieceOptions
        {
            UnknownToken = unknown, ContinuingSubwordPrefix = prefix, MaxInputCharsPerWord = 2 * longestWord,
        });
    }

    public override IReadOnlyDictionary<string, int> Vocabulary { get; }

    /// <summary>Whether spaces before punctuation and English contractions are left out of decoded texts.</summary>
    public bool CleansUp { get; init; } = true;

    public override string Normalize(string text) => _text.Normalize(text);

    public override void Encode(string text, bool begins, List<int> ids)
    {
        foreach (var word in BertText.Words(text))
        {
            if (word.EnumerateRunes().Count() > _longestWord)
                ids.Add(_unknown);
            else
                ids.AddRange(_pieces.EncodeToIds(word, considerPreTokenization: false, considerNormalization: false));
        }
    }

    public override string Decode(IReadOnlyList<string> tokens)
    {
        var text = new StringBuilder();
        for (var i = 0; i < tokens.Count; i++)
        {
            var token = i == 0 ? tokens[i] : tokens[i].StartsWith(_prefix, StringComparison.Ordinal) ? tokens[i][_prefix.Length..] : ' ' + tokens[i];
            text.Append(CleansUp ? CleanedUp(token) : token);
        }

        return text.ToString();
    }

    /// <summary>The replacements that BERT's tokenizer makes in its output.</summary>
    private static string CleanedUp(string token)
    {
        foreach (var (spaced, close) in (ReadOnlySpan<(string, string)>)
            [(" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't"), (" 's", "'s"),
                (" 've", "'ve"), (" 're", "'re")])
        {
            token = token.Replace(spaced, close, StringComparison.Ordinal);
        }

        return token;
    }
}
