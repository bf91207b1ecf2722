using System.Text.Json.Nodes;
using Microsoft.ML.Tokenizers;
using ShardSharp.HuggingFace.Configuration;
using ShardSharp.HuggingFace.Tokenizers;

namespace ShardSharp.HuggingFace;

/// <summary>A byte-level byte-pair encoding of a Hugging Face folder: texts to token ids and back, as transformers does it.</summary>
/// <remarks>
/// GPT-2, GPT-NeoX, Llama 3 and Qwen have such tokenizers. Words are split by .NET's regular expressions, whose letters and digits are those
/// of the basic multilingual plane: rare scripts beyond it may be split differently.
/// </remarks>
public sealed class HuggingFaceTokenizer
{
    private const string TokenizerJson = "tokenizer.json";
    private const string VocabularyJson = "vocab.json";
    private const string MergesText = "merges.txt";

    private readonly TokenizerSettings _settings;
    private readonly RegexPreTokenizer _words;
    private readonly BpeTokenizer _tokenizer;

    private HuggingFaceTokenizer(TokenizerSettings settings)
    {
        _settings = settings;
        _words = new RegexPreTokenizer(settings.Words, settings.Special);
        _tokenizer = BpeTokenizer.Create(new BpeOptions(settings.Vocabulary)
        {
            Merges = settings.Merges, ByteLevel = true, SpecialTokens = settings.Special, PreTokenizer = _words,
        });
        VocabularySize = settings.Vocabulary.Values.Max() + 1;
    }

    /// <summary>How many tokens there are: ids run from 0 to this number less one.</summary>
    public int VocabularySize { get; }

    /// <summary>Loads the tokenizer of a folder.</summary>
    /// <param name="folder">The folder with <c>tokenizer.json</c>, or with <c>vocab.json</c> and <c>merges.txt</c> of GPT-2's format.</param>
    /// <exception cref="UnsupportedModelException">The tokenizer is of another kind, or has an option that is not supported.</exception>
    /// <exception cref="InvalidDataException">A file is damaged.</exception>
    /// <exception cref="FileNotFoundException">The folder has no tokenizer.</exception>
    public static HuggingFaceTokenizer Load(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var path = Path.Combine(folder, TokenizerJson);
        if (File.Exists(path))
            return new HuggingFaceTokenizer(TokenizerFile.Read(path));
        if (File.Exists(Path.Combine(folder, VocabularyJson)) && File.Exists(Path.Combine(folder, MergesText)))
            return new HuggingFaceTokenizer(Gpt2Settings(folder));
        foreach (var (file, kind) in (ReadOnlySpan<(string, string)>)[("tokenizer.model", "SentencePiece"), ("vocab.txt", "WordPiece")])
        {
            if (File.Exists(Path.Combine(folder, file)))
            {
                throw new UnsupportedModelException(
                    $"{Path.Combine(folder, file)}: tokenizers of the kind {kind} are not supported; supported: byte-level BPE in {TokenizerJson}.");
            }
        }

        throw new FileNotFoundException($"{folder} has neither {TokenizerJson}, nor {VocabularyJson} and {MergesText}.", path);
    }

    /// <summary>The id of a token.</summary>
    /// <param name="token">The token as the vocabulary has it, such as <c>&lt;|endoftext|&gt;</c>.</param>
    /// <returns>Null if there is no such token.</returns>
    public int? IdOf(string token) => _settings.Vocabulary.TryGetValue(token, out var id) ? id : null;

    /// <summary>The tokens of a text, with those that the tokenizer puts before and after every text.</summary>
    /// <param name="text">The text.</param>
    /// <exception cref="PlatformNotSupportedException">
    /// The tokenizer composes characters (Unicode's form C), which .NET does not do for this text in its invariant globalization mode.
    /// </exception>
    public IReadOnlyList<int> Encode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (_settings.Composes)
            text = Composition.Of(text);
        var ids = _settings.IgnoresMerges ? EncodeWords(text) : _tokenizer.EncodeToIds(text);
        return [.. _settings.Prefix, .. ids, .. _settings.Suffix];
    }

    /// <summary>The text of tokens, special ones included.</summary>
    /// <param name="ids">The tokens.</param>
    public string Decode(IEnumerable<int> ids) => _tokenizer.Decode(ids) ?? string.Empty;

    private List<int> EncodeWords(string text)
    {
        var ids = new List<int>();
        foreach (var (offset, length) in _words.PreTokenize(text))
        {
            var word = text.AsSpan(offset, length);
            if (_settings.Special.TryGetValue(word.ToString(), out var id) || _settings.Vocabulary.TryGetValue(ByteLetters.Of(word), out id))
                ids.Add(id);
            else
                ids.AddRange(_tokenizer.EncodeToIds(word, considerPreTokenization: false));
        }

        return ids;
    }

    private static TokenizerSettings Gpt2Settings(string folder)
    {
        const string EndOfText = "<|endoftext|>";
        var path = Path.Combine(folder, VocabularyJson);
        var vocabulary = ConfigurationReader.Parse(path).ToDictionary(
            token => token.Key,
            token => token.Value is JsonValue value && value.TryGetValue(out int id)
                ? id
                : throw new InvalidDataException($"{path}: the id of {token.Key} is no whole number."),
            StringComparer.Ordinal);
        return new TokenizerSettings
        {
            Vocabulary = vocabulary,
            Merges = [.. File.ReadLines(Path.Combine(folder, MergesText)).Where(line => line.Length > 0 && !line.StartsWith("#version", StringComparison.Ordinal))],
            Special = vocabulary.Where(token => token.Key == EndOfText).ToDictionary(),
        };
    }
}
