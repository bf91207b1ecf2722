using System.Globalization;
using System.Reflection;
using System.Text;

namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>What BERT's tokenizer takes characters for.</summary>
/// <remarks>
/// Hugging Face tokenizers goes by an older Unicode than .NET in some respects, and .NET takes no accents off in its invariant globalization
/// mode, so a table says it: <c>tests/data/tokenizers/bert_characters.py</c> asks Hugging Face tokenizers for each character.
/// </remarks>
internal static class BertCharacters
{
    private const string Table = "bert_characters.txt";
    private const int FirstSyllable = 0xac00, LastSyllable = 0xd7a3, FirstLead = 0x1100, FirstVowel = 0x1161, NoTail = 0x11a7, Vowels = 21, Tails = 28;

    /// <summary>Blocks of Chinese characters, as BERT's tokenizer has them.</summary>
    private static readonly (int First, int Last)[] Ideographs =
    [
        (0x3400, 0x4dbf), (0x4e00, 0x9fff), (0xf900, 0xfaff), (0x20000, 0x2a6df), (0x2a700, 0x2b81f), (0x2b920, 0x2ceaf), (0x2f800, 0x2fa1f),
    ];

    private static readonly HashSet<int> Punctuation = [];
    private static readonly Dictionary<int, string> Plain = [], Small = [];
    private static readonly List<(int First, int Last)> Removed = [];

    static BertCharacters()
    {
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(Table)!;
        using var lines = new StreamReader(stream);
        while (lines.ReadLine() is { } line)
        {
            var fields = line.Split(' ');
            int[] values = [.. fields.Skip(1).Select(field => int.Parse(field, NumberStyles.HexNumber, CultureInfo.InvariantCulture))];
            switch (fields[0])
            {
                case "removed":
                    Removed.Add((values[0], values[1]));
                    break;
                case "punctuation":
                    Punctuation.UnionWith(Enumerable.Range(values[0], values[1] - values[0] + 1));
                    break;
                case "accents":
                    for (var value = values[0]; value <= values[1]; value++)
                        Plain[value] = "";
                    break;
                case "plain":
                    Plain[values[0]] = Text(values);
                    break;
                case "small":
                    Small[values[0]] = Text(values);
                    break;
            }
        }

        static string Text(int[] values) => string.Concat(values.Skip(1).Select(value => new Rune(value).ToString()));
    }

    /// <summary>Control characters and their like, which are left out of texts.</summary>
    public static bool IsRemoved(Rune character) => Removed.Exists(range => range.First <= character.Value && character.Value <= range.Last);

    /// <summary>Each is a word.</summary>
    public static bool IsPunctuation(Rune character) => Punctuation.Contains(character.Value);

    /// <inheritdoc cref="IsPunctuation"/>
    public static bool IsIdeograph(Rune character) =>
        character.Value >= Ideographs[0].First && Array.Exists(Ideographs, block => block.First <= character.Value && character.Value <= block.Last);

    /// <summary>The character in parts (Unicode's form D), without accents.</summary>
    public static string WithoutAccents(Rune character)
    {
        if (character.Value is >= FirstSyllable and <= LastSyllable)
        {
            // The Unicode Standard, section 3.12.
            var (syllable, tail) = Math.DivRem(character.Value - FirstSyllable, Tails);
            var (lead, vowel) = Math.DivRem(syllable, Vowels);
            return $"{(char)(FirstLead + lead)}{(char)(FirstVowel + vowel)}{(tail == 0 ? "" : (char)(NoTail + tail))}";
        }

        return Plain.GetValueOrDefault(character.Value) ?? character.ToString();
    }

    /// <summary>The small letter of a capital one.</summary>
    public static string Lower(Rune character) => Small.GetValueOrDefault(character.Value) ?? character.ToString();
}
