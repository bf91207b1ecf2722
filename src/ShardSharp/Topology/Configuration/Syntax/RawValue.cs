using System.Text.Json;

namespace ShardSharp.Topology;

/// <summary>
/// A value as it was written: JSON, or text from an environment variable, an option or a SageMaker hyperparameter. Such text has no types,
/// so it may spell a number or a boolean without being one (<see cref="IsSpelled"/>); a JSON file has types and may not.
/// </summary>
internal readonly record struct RawValue(JsonValueKind Kind, string Text, bool IsSpelled)
{
    private const int LongestShown = 80;

    /// <summary>The text of a number, boolean or null; null when the value is something else.</summary>
    public string? Literal => Kind switch
    {
        JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False or JsonValueKind.Null => Text,
        JsonValueKind.String when IsSpelled => Text.Trim(),
        _ => null,
    };

    /// <summary>The text of a string; null when the value is something else.</summary>
    public string? String => Kind == JsonValueKind.String ? Text : null;

    public bool IsNull => Literal == "null";

    public static RawValue FromText(string text) => new(JsonValueKind.String, text, IsSpelled: true);

    public static RawValue FromJson(JsonElement element, bool isSpelled) => element.ValueKind == JsonValueKind.String
        ? new(JsonValueKind.String, element.GetString()!, isSpelled)
        : new(element.ValueKind, element.GetRawText(), IsSpelled: false);

    /// <summary>The value for a message: as written, strings of JSON in quotes, long values cut.</summary>
    public override string ToString()
    {
        var shown = Kind == JsonValueKind.String && !IsSpelled ? JsonText.Quote(Text) : Text.ReplaceLineEndings(" ");
        return shown.Length <= LongestShown ? shown : string.Concat(shown.AsSpan(0, LongestShown), "...");
    }
}
