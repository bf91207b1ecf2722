using System.Globalization;
using System.Text;

namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>
/// A byte-pair encoding of characters, with spaces written as a mark and characters that are no tokens as their bytes, as SentencePiece has it
/// (Kudo and Richardson 2018): Llama 2, Mistral and Mixtral.
/// </summary>
internal sealed class PieceModel : TokenModel
{
    /// <summary>What is written for a space.</summary>
    public const char Mark = '\u2581';

    private readonly BytePairs _pairs;
    private readonly HashSet<Rune> _characters;
    private readonly int[] _bytes;

    /// <param name="pairs">The merges, with a token for each byte in the vocabulary.</param>
    public PieceModel(BytePairs pairs)
    {
        _pairs = pairs;
        _characters = [.. pairs.Vocabulary.Keys.Where(token => Rune.TryGetRuneAt(token, 0, out var rune) && rune.Utf16SequenceLength == token.Length)
            .Select(token => Rune.GetRuneAt(token, 0))];
        _bytes = [.. Enumerable.Range(0, 256).Select(value => pairs.Vocabulary[ByteToken(value)])];
    }

    public override IReadOnlyDictionary<string, int> Vocabulary => _pairs.Vocabulary;

    /// <summary>When the mark is put before a text.</summary>
    public SpaceMark First { get; init; } = SpaceMark.Always;

    /// <summary>Whether no token reaches over the beginning of a word.</summary>
    public bool SplitsWords { get; init; }

    /// <summary>Whether the first space of a decoded text is left out.</summary>
    public bool StripsSpace { get; init; } = true;

    /// <summary>The token of a byte.</summary>
    public static string ByteToken(int value) => $"<0x{value:X2}>";

    public override string Normalize(string text) => First == SpaceMark.Always && text.Length > 0 ? Mark + text.Replace(' ', Mark) : text;

    public override void Encode(string text, bool begins, List<int> ids)
    {
        text = text.Replace(' ', Mark);
        if (text[0] != Mark && (First == SpaceMark.BeforePieces || (First == SpaceMark.BeforeText && begins)))
            text = Mark + text;
        for (var start = 0; start < text.Length;)
        {
            var next = SplitsWords ? text.IndexOf(Mark, start + 1) : -1;
            var end = next < 0 ? text.Length : next;
            EncodeWord(text[start..end], ids);
            start = end;
        }
    }

    public override string Decode(IReadOnlyList<string> tokens)
    {
        var (text, bytes) = (new StringBuilder(), new List<byte>());
        foreach (var token in tokens)
        {
            if (token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[5] == '>'
                && byte.TryParse(token.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value))
            {
                bytes.Add(value);
                continue;
            }

            Flush();
            text.Append(token.Replace(Mark, ' '));
        }

        Flush();
        return StripsSpace && text.Length > 0 && text[0] == ' ' ? text.ToString(1, text.Length - 1) : text.ToString();

        // Bytes that are no text as a whole are no text, each of them.
        void Flush()
        {
            try
            {
                text.Append(StrictUtf8.GetString([.. bytes]));
            }
            catch (DecoderFallbackException)
            {
                text.Append('\ufffd', bytes.Count);
            }

            bytes.Clear();
        }
    }

    private static Encoding StrictUtf8 { get; } = new UTF8Encoding(false, throwOnInvalidBytes: true);

    /// <summary>Nothing merges with bytes, so characters that are written with them part what is before from what is behind.</summary>
    private void EncodeWord(string word, List<int> ids)
    {
        Span<byte> utf8 = stackalloc byte[4];
        var (start, at) = (0, 0);
        foreach (var rune in word.EnumerateRunes())
        {
            if (!_characters.Contains(rune))
            {
                Merge(word[start..at]);
                foreach (var value in utf8[..rune.EncodeToUtf8(utf8)])
                    ids.Add(_bytes[value]);
                start = at + rune.Utf16SequenceLength;
            }

            at += rune.Utf16SequenceLength;
        }

        Merge(word[start..]);

        void Merge(string letters)
        {
            if (letters.Length > 0)
                _pairs.Encode(letters, ids);
        }
    }
}
