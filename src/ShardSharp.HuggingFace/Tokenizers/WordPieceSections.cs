using ShardSharp.HuggingFace.Configuration;

namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>BERT's tokenizer in a <c>tokenizer.json</c>, and in its older files.</summary>
internal static class WordPieceSections
{
    private const string Unknown = "[UNK]", Begin = "[CLS]", End = "[SEP]", LongestKey = "max_input_chars_per_word";
    private const int MostCharacters = 10_000;

    /// <param name="file">The file.</param>
    /// <param name="model">Its model.</param>
    /// <param name="vocabulary">The ids of tokens.</param>
    public static WordPieceModel Read(ConfigurationReader file, ConfigurationReader model, IReadOnlyDictionary<string, int> vocabulary)
    {
        var normalizer = TokenizerFile.RequireType(file, "normalizer", "BertNormalizer")!;
        TokenizerFile.RequireType(file, "pre_tokenizer", "BertPreTokenizer");
        var decoder = TokenizerFile.RequireType(file, "decoder", "WordPiece")!;
        var (unknown, prefix) = (model.Text("unk_token") ?? Unknown, model.Text("continuing_subword_prefix") ?? "##");
        if (decoder.Text("prefix") is { } other && other != prefix)
            throw decoder.Unsupported("prefix", other, $"{prefix}, as in the model");
        RequireUsable(vocabulary, unknown, file.Inconsistent);
        var longest = model.Count(LongestKey, 100);
        if (longest > MostCharacters)
            throw model.Unsupported(LongestKey, longest, $"{MostCharacters} at most");
        var lowers = normalizer.Flag("lowercase", true);
        var text = new BertText
        {
            Cleans = normalizer.Flag("clean_text", true),
            PartsIdeographs = normalizer.Flag("handle_chinese_chars", true),
            StripsAccents = normalizer.Flag("strip_accents", lowers),
            Lowers = lowers,
        };
        return new WordPieceModel(vocabulary, text, unknown, prefix, longest) { CleansUp = decoder.Flag("cleanup", true) };
    }

    /// <summary>The tokenizer of a list of tokens, with the options of <c>tokenizer_config.json</c>.</summary>
    /// <param name="path">The list, a token a line.</param>
    /// <param name="options">The options; null where there are none.</param>
    public static TokenizerSettings ReadList(string path, ConfigurationReader? options)
    {
        var vocabulary = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var token in File.ReadLines(path))
        {
            if (!vocabulary.TryAdd(token, vocabulary.Count))
                throw new InvalidDataException($"{path}: token '{token}' is there twice.");
        }

        RequireUsable(vocabulary, Unknown, problem => new InvalidDataException($"{path}: {problem}."));
        foreach (var token in (string[])[Begin, End])
        {
            if (!vocabulary.ContainsKey(token))
                throw new InvalidDataException($"{path}: the vocabulary has no token {token}.");
        }

        var lowers = options?.Flag("do_lower_case", true) ?? true;
        options?.Require("do_basic_tokenize", true);
        options?.RequireNone("never_split");
        var text = new BertText
        {
            PartsIdeographs = options?.Flag("tokenize_chinese_chars", true) ?? true, StripsAccents = options?.Flag("strip_accents", lowers) ?? lowers, Lowers = lowers,
        };
        return new TokenizerSettings
        {
            Model = new WordPieceModel(vocabulary, text),
            Added = [.. ((string[])["[PAD]", Unknown, Begin, End, "[MASK]"]).Where(vocabulary.ContainsKey).Select(token => new AddedToken(token, vocabulary[token]))],
            Prefix = [vocabulary[Begin]],
            Suffix = [vocabulary[End]],
        };
    }

    private static void RequireUsable(IReadOnlyDictionary<string, int> vocabulary, string unknown, Func<string, InvalidDataException> damaged)
    {
        if (!vocabulary.ContainsKey(unknown))
            throw damaged($"the vocabulary has no token {unknown}");
        if (vocabulary.Values.Distinct().Count() != vocabulary.Count || vocabulary.Values.Max() != vocabulary.Count - 1)
            throw damaged("the ids of the vocabulary are not those from 0 on");
        if (vocabulary.Keys.Any(token => token.Contains('\n') || token.Contains('\r')))
            throw damaged("a token of the vocabulary has a line break");
    }
}
