using System.Buffers;
using System.Text;

namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>Unicode's normalization form C, in which composed characters take the place of combining ones.</summary>
internal static class Composition
{
    /// <summary>
    /// Characters that the form keeps and that compose with none before them, so that texts of them alone are as they should be: Latin,
    /// Greek and Cyrillic letters, punctuation, symbols, kana, ideographs, Hangul syllables, and the surrogates of emoji.
    /// </summary>
    private static readonly (char First, char Last)[] StableRanges =
    [
        ('\0', '\u02ff'), ('\u0388', '\u0482'), ('\u048a', '\u052f'), ('\u1e00', '\u1eff'), ('\u2010', '\u2027'), ('\u2030', '\u205e'),
        ('\u20a0', '\u20bf'), ('\u2190', '\u2328'), ('\u232b', '\u27ff'), ('\u3000', '\u3029'), ('\u3041', '\u3096'), ('\u309b', '\u30ff'),
        ('\u3400', '\u4dbf'), ('\u4e00', '\u9fff'), ('\uac00', '\ud7a3'), ('\ud83c', '\ud83e'), ('\udc00', '\udfff'), ('\uff01', '\uffee'),
    ];

    private static readonly SearchValues<char> Stable = SearchValues.Create(
        [.. StableRanges.SelectMany(range => Enumerable.Range(range.First, range.Last - range.First + 1)).Select(value => (char)value)]);

    /// <summary>Whether .NET composes: in its invariant globalization mode it returns texts as they are, and says nothing.</summary>
    private static readonly bool IsAvailable = "e\u0301".Normalize(NormalizationForm.FormC) == "\u00e9";

    /// <exception cref="PlatformNotSupportedException">The text may need it, and it is not available.</exception>
    public static string Of(string text)
    {
        if (!text.AsSpan().ContainsAnyExcept(Stable))
            return text;
        return IsAvailable
            ? text.Normalize(NormalizationForm.FormC)
            : throw new PlatformNotSupportedException(
                "The tokenizer composes characters (Unicode's form C), which .NET leaves out in its invariant globalization mode, and the text "
                + "may need it. Install ICU (libicu), and set neither InvariantGlobalization nor DOTNET_SYSTEM_GLOBALIZATION_INVARIANT; or pass "
                + "the text in form C without combining characters.");
    }
}
