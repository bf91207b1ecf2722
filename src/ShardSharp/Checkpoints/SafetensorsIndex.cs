using System.Text.Json;
using System.Text.Json.Nodes;

namespace ShardSharp.Checkpoints;

/// <summary>The index of tensors that are spread over several safetensors files: which file of the same folder has which tensor.</summary>
/// <remarks>https://huggingface.co/docs/safetensors and the <c>*.safetensors.index.json</c> that transformers writes.</remarks>
internal static class SafetensorsIndex
{
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <returns>The file name of each tensor.</returns>
    /// <exception cref="SafetensorsException">The index is damaged, or names a file outside its folder.</exception>
    public static IReadOnlyDictionary<string, string> Read(string path)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path), Strict);
            if (document.RootElement.ValueKind != JsonValueKind.Object
                || !document.RootElement.TryGetProperty("weight_map", out var map) || map.ValueKind != JsonValueKind.Object)
            {
                throw new SafetensorsException(path, "an index is an object with a weight_map that maps tensors to files.");
            }

            return map.EnumerateObject().ToDictionary(entry => entry.Name, entry => FileOf(path, entry), StringComparer.Ordinal);
        }
        catch (Exception failure) when (failure is JsonException or InvalidOperationException)
        {
            throw new SafetensorsException(path, $"the index is not valid JSON: {failure.Message}", failure);
        }
    }

    /// <param name="path">The index, to be replaced if it exists.</param>
    /// <param name="files">The file name of each tensor.</param>
    /// <param name="totalBytes">The bytes of all tensors.</param>
    public static void Write(string path, IEnumerable<KeyValuePair<string, string>> files, long totalBytes)
    {
        var map = new JsonObject(files.OrderBy(pair => pair.Key, StringComparer.Ordinal)
            .Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value)));
        var index = new JsonObject { ["metadata"] = new JsonObject { ["total_size"] = totalBytes }, ["weight_map"] = map };
        AtomicFile.Write(path, JsonSerializer.SerializeToUtf8Bytes(index, Indented));
    }

    /// <summary>A name, and not a path: an index from somewhere else must not make us read files of this machine.</summary>
    private static string FileOf(string path, JsonProperty entry)
    {
        var name = entry.Value.ValueKind == JsonValueKind.String ? entry.Value.GetString()! : "";
        if (name is "" or "." or ".." || name.AsSpan().ContainsAny('/', '\\', '\0') || Path.IsPathRooted(name))
            throw new SafetensorsException(path, $"tensor {entry.Name} is said to be in {entry.Value}, which is no file name.");
        return name;
    }
}
