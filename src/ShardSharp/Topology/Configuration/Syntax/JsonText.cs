using System.Text.Encodings.Web;
using System.Text.Json;

namespace ShardSharp.Topology;

/// <summary>How this library reads and writes the JSON of a configuration.</summary>
internal static class JsonText
{
    // Files are written by people: comments and a trailing comma do no harm.
    public static readonly JsonDocumentOptions Reading = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

    private static readonly JsonSerializerOptions Writing = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static string Quote(string text) => JsonSerializer.Serialize(text, Writing);
}
