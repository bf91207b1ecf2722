using ShardSharp.HuggingFace.Configuration;
using ShardSharp.HuggingFace.Tokenizers;

namespace ShardSharp.HuggingFace;

/// <summary>The tokenizer of a Hugging Face folder: texts to token ids and back, as its files say, which is what Hugging Face tokenizers does.</summary>
/// <remarks>
/// Byte-level byte-pair encodings (GPT-2, RoBERTa, GPT-NeoX, Llama 3, Qwen), those of SentencePiece (Llama 2, Mistral, Mixtral) and WordPiece
/// (BERT).
/// </remarks>
public sealed class HuggingFaceTokenizer
{
    private const string TokenizerJson = "tokenizer.json", OptionsJson = "tokenizer_config.json";
    private const string VocabularyJson = "vocab.json", MergesText = "merges.txt", PieceModelFile = "tokenizer.model", VocabularyText = "vocab.txt";

    private readonly TokenizerSettings _settings;
    private readonly AddedTokens _given, _normalized;
    private readonly Dictionary<string, int> _ids;
    private readonly Dictionary<int, string> _tokens = [];
    private readonly HashSet<int> _special;

    private HuggingFaceTokenizer(TokenizerSettings settings)
    {
        _settings = settings;
        var model = settings.Model;
        _given = new AddedTokens(settings.Added.Where(token => !token.IsNormalized).Select(token => (token.Content, token)));
        _normalized = new AddedTokens(settings.Added.Where(token => token.IsNormalized).Select(token => (model.Normalize(token.Content), token)));
        _ids = new Dictionary<string, int>(model.Vocabulary, StringComparer.Ordinal);
        foreach (var token in settings.Added)
            _ids[token.Content] = token.Id;
        foreach (var (token, id) in model.Vocabulary.Concat(settings.Added.Select(token => KeyValuePair.Create(token.Content, token.Id))))
            _tokens[id] = token;
        _special = [.. settings.Added.Where(token => token.IsSpecial).Select(token => token.Id)];
        VocabularySize = _ids.Values.Max() + 1;
    }

    /// <summary>How many tokens there are: ids run from 0 to this number less one.</summary>
    public int VocabularySize { get; }

    /// <summary>Loads the tokenizer of a folder.</summary>
    /// <param name="folder">
    /// The folder with <c>tokenizer.json</c>; or with <c>tokenizer.model</c> of SentencePiece, <c>vocab.txt</c> of BERT, or <c>vocab.json</c> and
    /// <c>merges.txt</c> of GPT-2 or RoBERTa, whose options are in <c>tokenizer_config.json</c>.
    /// </param>
    /// <exception cref="UnsupportedModelException">The tokenizer is of another kind, or has an option that is not supported.</exception>
    /// <exception cref="InvalidDataException">A file is damaged.</exception>
    /// <exception cref="FileNotFoundException">The folder has no tokenizer.</exception>
    public static HuggingFaceTokenizer Load(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        if (File.Exists(In(TokenizerJson)))
            return new HuggingFaceTokenizer(TokenizerFile.Read(In(TokenizerJson)));
        if (File.Exists(In(PieceModelFile)))
            return new HuggingFaceTokenizer(PieceFile.Read(In(PieceModelFile), Options()));
        if (File.Exists(In(VocabularyText)))
            return new HuggingFaceTokenizer(WordPieceSections.ReadList(In(VocabularyText), Options()));
        if (File.Exists(In(VocabularyJson)) && File.Exists(In(MergesText)))
            return new HuggingFaceTokenizer(Gpt2Files.Read(In(VocabularyJson), In(MergesText), Options()));
        throw new FileNotFoundException(
            $"{folder} has neither {TokenizerJson}, nor {PieceModelFile}, nor {VocabularyText}, nor {VocabularyJson} and {MergesText}.", In(TokenizerJson));

        string In(string file) => Path.Combine(folder, file);

        ConfigurationReader? Options()
        {
            // Tokens beside those of these files are only looked for in tokenizer.json.
            if (File.Exists(In("added_tokens.json")))
                throw new UnsupportedModelException($"{In("added_tokens.json")} is not supported without {TokenizerJson}, which transformers writes.");
            return File.Exists(In(OptionsJson)) ? new ConfigurationReader(In(OptionsJson), ConfigurationReader.Parse(In(OptionsJson))) : null;
        }
    }

    /// <summary>The id of a token.</summary>
    /// <param name="token">The token as the vocabulary has it, such as <c>&lt;|endoftext|&gt;</c>.</param>
    /// <returns>Null if there is no such token.</returns>
    public int? IdOf(string token) => _ids.TryGetValue(token, out var id) ? id : null;

    /// <summary>The tokens of a text. Special tokens in it are taken for what they stand for.</summary>
    /// <param name="text">The text.</param>
    /// <param name="addSpecialTokens">
    /// Whether to add those that the tokenizer puts before and after every text, such as <c>&lt;s&gt;</c> of Llama, or <c>[CLS]</c> and <c>[SEP]</c>
    /// of BERT; <c>add_special_tokens</c> of transformers.
    /// </param>
    /// <exception cref="PlatformNotSupportedException">
    /// The tokenizer composes characters (Unicode's form C), which .NET does not do for this text in its invariant globalization mode.
    /// </exception>
    public IReadOnlyList<int> Encode(string text, bool addSpecialTokens = true)
    {
        ArgumentNullException.ThrowIfNull(text);
        var ids = new List<int>();
        if (addSpecialTokens)
            ids.AddRange(_settings.Prefix);
        foreach (var (start, piece, token) in _given.Split(text))
        {
            if (token is not null)
            {
                ids.Add(token.Id);
                continue;
            }

            foreach (var (offset, part, added) in _normalized.Split(_settings.Model.Normalize(piece)))
            {
                if (added is null)
                    _settings.Model.Encode(part, begins: start + offset == 0, ids);
                else
                    ids.Add(added.Id);
            }
        }

        if (addSpecialTokens)
            ids.AddRange(_settings.Suffix);
        return ids;
    }

    /// <summary>The text of tokens. Ids that no token has, as models with a padded vocabulary may return, are left out.</summary>
    /// <param name="ids">The tokens.</param>
    /// <param name="skipSpecialTokens">Whether special tokens are left out; <c>skip_special_tokens</c> of transformers.</param>
    public string Decode(IEnumerable<int> ids, bool skipSpecialTokens = false)
    {
        ArgumentNullException.ThrowIfNull(ids);
        return _settings.Model.Decode([.. ids.Where(id => _tokens.ContainsKey(id) && !(skipSpecialTokens && _special.Contains(id))).Select(id => _tokens[id])]);
    }
}
