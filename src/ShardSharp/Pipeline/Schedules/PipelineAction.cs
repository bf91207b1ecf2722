using System.Globalization;

namespace ShardSharp.Pipeline.Schedules;

/// <summary>One step of a rank's part of a schedule.</summary>
/// <param name="Stage">Stage, from 0.</param>
/// <param name="Kind">What is computed.</param>
/// <param name="Microbatch">Microbatch, from 0.</param>
public readonly record struct PipelineAction(int Stage, PipelineActionKind Kind, int Microbatch)
{
    private const string Letters = "FBIW";

    /// <summary>Stage, letter, microbatch: <c>3F0</c> is the forward of microbatch 0 on stage 3.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Stage}{Letters[(int)Kind]}{Microbatch}");

    /// <summary>Reads what <see cref="ToString"/> writes.</summary>
    /// <param name="text">Such as <c>3F0</c>.</param>
    /// <exception cref="FormatException">The text is not an action.</exception>
    public static PipelineAction Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var at = text.AsSpan().IndexOfAny(Letters);
        return at > 0 && TryNumber(text.AsSpan(0, at), out var stage) && TryNumber(text.AsSpan(at + 1), out var microbatch)
            ? new PipelineAction(stage, (PipelineActionKind)Letters.IndexOf(text[at], StringComparison.Ordinal), microbatch)
            : throw new FormatException(
                $"'{text}' is not an action of a schedule. Write the stage, one of F (forward), B (backward), I (backward of the inputs) and W "
                + "(backward of the weights), and the microbatch: 3F0.");
    }

    private static bool TryNumber(ReadOnlySpan<char> digits, out int value) =>
        int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out value);
}
