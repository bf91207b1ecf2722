using System.Text;

namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>Unicode's normalization form C, in which composed characters take the place of combining ones.</summary>
internal static class Composition
{
    /// <summary>No character below it changes, whatever follows that is below it too.</summary>
    private const char FirstCombining = '\u0300';

    /// <summary>Whether .NET composes: in its invariant globalization mode it returns texts as they are, and says nothing.</summary>
    public static bool IsAvailable { get; } = "e\u0301".Normalize(NormalizationForm.FormC) == "\u00e9";

    /// <exception cref="PlatformNotSupportedException">The text may need it, and it is not available.</exception>
    public static string Of(string text)
    {
        if (!text.AsSpan().ContainsAnyExceptInRange('\0', (char)(FirstCombining - 1)))
            return text;
        return IsAvailable
            ? text.Normalize(NormalizationForm.FormC)
            : throw new PlatformNotSupportedException(
                "The tokenizer composes characters (Unicode's form C), which .NET leaves out in its invariant globalization mode. Install ICU "
                + "(libicu), and set neither InvariantGlobalization nor DOTNET_SYSTEM_GLOBALIZATION_INVARIANT.");
    }
}
