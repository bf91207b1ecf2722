using System.Text.Json;
using System.Text.Json.Serialization;

namespace ShardSharp.Benchmarks;

/// <summary>Results as JSON, one object per line, names in snake case.</summary>
internal static class JsonLine
{
    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    public static string Of(object result) => JsonSerializer.Serialize(result, result.GetType(), Options);

    public static T Parse<T>(string line) =>
        JsonSerializer.Deserialize<T>(line, Options) ?? throw new InvalidDataException($"No result in the line '{line}'.");
}
