using ShardSharp.HuggingFace.Configuration;

namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>
/// Reads a model of SentencePiece (<c>tokenizer.model</c>), a message ModelProto of
/// https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto.
/// </summary>
internal sealed class PieceFile
{
    private const int Normal = 1, UnknownPiece = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6;
    private const ulong PairModel = 2;

    private readonly string _path;
    private readonly List<(string Text, float Score, int Kind)> _pieces = [];
    private int _begin = 1, _end = 2;

    private PieceFile(string path)
    {
        _path = path;
        try
        {
            Read(File.ReadAllBytes(path));
        }
        catch (InvalidDataException damage)
        {
            throw new InvalidDataException($"{path} is no model of SentencePiece: {damage.Message}.", damage);
        }
    }

    /// <summary>The tokenizer of a file, with the options of <c>tokenizer_config.json</c>.</summary>
    /// <param name="path">The file.</param>
    /// <param name="options">The options; null where there are none.</param>
    /// <exception cref="UnsupportedModelException">It is of a kind that is not supported.</exception>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public static TokenizerSettings Read(string path, ConfigurationReader? options)
    {
        var file = new PieceFile(path);
        options?.Require("legacy", true);
        options?.Require("add_prefix_space", true);
        options?.RequireNone("added_tokens");
        var vocabulary = file.Vocabulary();
        PieceSections.RequireBytes(vocabulary, file.Damaged);
        return new TokenizerSettings
        {
            Model = new PieceModel(BytePairSections.Of(vocabulary, file.Merges(vocabulary), ignoresMerges: false, file.Damaged)),
            Added = [.. file._pieces.Where(piece => piece.Kind is Control or UnknownPiece).Select(piece => new AddedToken(piece.Text, vocabulary[piece.Text]))],
            Prefix = options?.Flag("add_bos_token", true) ?? true ? [file.Id(file._begin)] : [],
            Suffix = options?.Flag("add_eos_token", false) ?? false ? [file.Id(file._end)] : [],
        };
    }

    private void Read(ReadOnlySpan<byte> data)
    {
        var message = new ProtobufReader(data);
        var (saysHow, saysWhatBefore) = (false, false);
        while (message.Read())
        {
            switch (message.Field)
            {
                case 1:
                    _pieces.Add(Piece(message.Bytes));
                    break;
                case 2:
                    ReadTraining(message.Bytes);
                    saysHow = true;
                    break;
                case 3:
                    RequirePlainText(message.Bytes);
                    saysWhatBefore = true;
                    break;
            }
        }

        if (_pieces.Count == 0 || !saysHow || !saysWhatBefore)
            throw new InvalidDataException("it should have pieces, a trainer_spec and a normalizer_spec");
    }

    private static (string Text, float Score, int Kind) Piece(ReadOnlySpan<byte> data)
    {
        var piece = new ProtobufReader(data);
        var (text, score, kind) = ("", 0f, Normal);
        while (piece.Read())
        {
            switch (piece.Field)
            {
                case 1:
                    text = piece.Text;
                    break;
                case 2:
                    score = piece.Single;
                    break;
                case 3:
                    kind = (int)piece.Number;
                    break;
            }
        }

        return (text, score, kind);
    }

    private void ReadTraining(ReadOnlySpan<byte> data)
    {
        var training = new ProtobufReader(data);
        var (kind, fallsBack) = (1UL, false);
        while (training.Read())
        {
            switch (training.Field)
            {
                case 3:
                    kind = training.Number;
                    break;
                case 24 when training.Number != 0:
                    throw Unsupported("trainer_spec.treat_whitespace_as_suffix", "true", "false");
                case 35:
                    fallsBack = training.Number != 0;
                    break;
                case 41:
                    _begin = (int)training.Number;
                    break;
                case 42:
                    _end = (int)training.Number;
                    break;
            }
        }

        if (kind != PairModel)
            throw Unsupported("trainer_spec.model_type", kind switch { 1 => "UNIGRAM", 3 => "WORD", 4 => "CHAR", _ => $"{kind}" }, "BPE");
        if (!fallsBack)
            throw Unsupported("trainer_spec.byte_fallback", "false", "true");
    }

    /// <summary>Texts are taken as they are, with a space before.</summary>
    private void RequirePlainText(ReadOnlySpan<byte> data)
    {
        var normalization = new ProtobufReader(data);
        var removesSpaces = true;
        while (normalization.Read())
        {
            switch (normalization.Field)
            {
                case 2 when !normalization.Bytes.IsEmpty:
                    throw Unsupported("normalizer_spec.precompiled_charsmap", "that is not empty", "none (identity)");
                case 3 when normalization.Number == 0:
                    throw Unsupported("normalizer_spec.add_dummy_prefix", "false", "true");
                case 4:
                    removesSpaces = normalization.Number != 0;
                    break;
                case 5 when normalization.Number == 0:
                    throw Unsupported("normalizer_spec.escape_whitespaces", "false", "true");
            }
        }

        if (removesSpaces)
            throw Unsupported("normalizer_spec.remove_extra_whitespaces", "true", "false");
    }

    private Dictionary<string, int> Vocabulary()
    {
        var vocabulary = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var (text, _, kind) in _pieces)
        {
            if (kind is UserDefined or Unused || kind is < Normal or > Byte)
            {
                var name = kind switch { UserDefined => "USER_DEFINED", Unused => "UNUSED", _ => $"{kind}" };
                throw Unsupported($"the type of piece '{text}'", name, "NORMAL, UNKNOWN, CONTROL, BYTE");
            }

            if (text.Length == 0 || !vocabulary.TryAdd(text, vocabulary.Count))
                throw Damaged(text.Length == 0 ? $"piece {vocabulary.Count} is empty" : $"piece '{text}' is there twice");
        }

        return vocabulary;
    }

    /// <summary>
    /// All pairs of pieces that make another, that with the highest score first. Several pairs that make the same are tried as transformers does:
    /// those with the longest beginning first.
    /// </summary>
    private List<string> Merges(Dictionary<string, int> vocabulary)
    {
        var pieces = _pieces.Where(piece => piece.Kind == Normal).OrderByDescending(piece => piece.Score).ToList();
        var normal = pieces.Select(piece => piece.Text).ToHashSet(StringComparer.Ordinal);
        var (merges, before) = (new List<string>(), float.NaN);
        foreach (var (text, score, _) in pieces)
        {
            var parts = Enumerable.Range(1, text.Length - 1).Reverse().Where(cut => normal.Contains(text[..cut]) && normal.Contains(text[cut..])).ToList();
            if (parts.Count == 0)
                continue;
            if (score == before)
                throw Unsupported($"the score of piece '{text}'", $"{score}, which another piece has too,", "one of its own");
            before = score;
            merges.AddRange(parts.Select(cut => text.Contains(' ')
                ? throw Damaged($"piece '{text}' has a space")
                : $"{text[..cut]} {text[cut..]}"));
        }

        return merges;
    }

    private int Id(int id) => id >= 0 && id < _pieces.Count ? id : throw Damaged($"trainer_spec names piece {id} of {_pieces.Count}");

    private InvalidDataException Damaged(string problem) => new($"{_path}: {problem}.");

    private UnsupportedModelException Unsupported(string what, string value, string supported) =>
        new($"{_path}: {what} {value} is not supported; supported: {supported}.");
}
