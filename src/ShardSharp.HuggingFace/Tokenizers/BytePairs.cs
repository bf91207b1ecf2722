using Microsoft.ML.Tokenizers;

namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>Merges the letters of a word, pair by pair, to tokens (Sennrich et al. 2016).</summary>
internal sealed class BytePairs
{
    private readonly BpeTokenizer _merging;
    private readonly bool _ignoresMerges;

    /// <param name="vocabulary">The id of each token.</param>
    /// <param name="merges">The pairs that become one token, the first to be tried first; a space between the two.</param>
    /// <param name="ignoresMerges">Whether a word that is a token is taken as it is, even where merges would not lead to it.</param>
    public BytePairs(IReadOnlyDictionary<string, int> vocabulary, IReadOnlyList<string> merges, bool ignoresMerges = false)
    {
        (Vocabulary, _ignoresMerges) = (vocabulary, ignoresMerges);
        _merging = BpeTokenizer.Create(new BpeOptions(vocabulary) { Merges = merges });
    }

    /// <summary>The id of each token.</summary>
    public IReadOnlyDictionary<string, int> Vocabulary { get; }

    /// <summary>Adds the tokens of a word, each letter of which is a token.</summary>
    public void Encode(string letters, List<int> ids)
    {
        if (_ignoresMerges && Vocabulary.TryGetValue(letters, out var whole))
            ids.Add(whole);
        else
            ids.AddRange(_merging.EncodeToIds(letters, considerPreTokenization: false, considerNormalization: false));
    }
}
