using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>Splits texts into the words that a pattern fits, and what lies between them.</summary>
/// <remarks>
/// .NET's patterns see a character beyond the basic multilingual plane as two without a category. They are given another of the same category in
/// its place.
/// </remarks>
internal sealed partial class WordPattern(Regex pattern)
{
    /// <summary>A character of each category of the basic multilingual plane that no pattern names.</summary>
    private static readonly Dictionary<UnicodeCategory, char> Substitutes =
        "\u00c0\u00df\u01c5\u02b0\u00aa\u0300\u0903\u0488\u0660\u2160\u00b2\u00ad\ue000\u203f\u2010\u2045\u2046\u00ab\u00bb\u00a1\u00b1\u00a2\u00a8\u00a6\u0378"
            .ToDictionary(CharUnicodeInfo.GetUnicodeCategory);

    /// <summary>GPT-2's, with the space before a word kept with it (Radford et al. 2019).</summary>
    public static WordPattern Gpt2 { get; } = new(Gpt2Words);

    /// <summary>The words of a text, one after another; none is empty.</summary>
    public IEnumerable<string> Split(string text)
    {
        var (plain, starts) = Plain(text);
        var done = 0;
        for (var match = pattern.Match(plain); match.Success; match = match.NextMatch())
        {
            if (match.Index > done)
                yield return Between(done, match.Index);
            if (match.Length > 0)
                yield return Between(match.Index, match.Index + match.Length);
            done = match.Index + match.Length;
        }

        if (done < plain.Length)
            yield return Between(done, plain.Length);

        string Between(int first, int end) => starts is null ? text[first..end] : text[starts[first]..starts[end]];
    }

    /// <summary>The text with one character for each that takes two, and where each of them begins in the text.</summary>
    private static (string Text, List<int>? Starts) Plain(string text)
    {
        if (!text.Any(char.IsHighSurrogate))
            return (text, null);
        var (plain, starts, at) = (new StringBuilder(text.Length), new List<int>(text.Length + 1), 0);
        foreach (var rune in text.EnumerateRunes())
        {
            starts.Add(at);
            plain.Append(rune.IsBmp ? (char)rune.Value : Substitutes[Rune.GetUnicodeCategory(rune)]);
            at += rune.Utf16SequenceLength;
        }

        starts.Add(at);
        return (plain.ToString(), starts);
    }

    [GeneratedRegex(@"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")]
    private static partial Regex Gpt2Words { get; }
}
