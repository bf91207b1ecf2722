using System.Text.Json;
using System.Text.Json.Nodes;

namespace ShardSharp.HuggingFace.Configuration;

/// <summary>
/// The values of a <c>config.json</c>, or of an object in it, and which of them have been looked at: what nobody looked at might change the
/// computation, so it is refused in the end.
/// </summary>
/// <param name="source">The file, for messages.</param>
/// <param name="values">The keys and values.</param>
/// <param name="section">The object's own key with a dot; empty for the whole file.</param>
internal sealed class ConfigurationReader(string source, JsonObject values, string section = "")
{
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    private readonly HashSet<string> _known = new(StringComparer.Ordinal);

    /// <exception cref="InvalidDataException">The file is no JSON object.</exception>
    public static JsonObject Parse(string path)
    {
        try
        {
            return JsonNode.Parse(File.ReadAllBytes(path), documentOptions: Strict) as JsonObject
                ?? throw new InvalidDataException($"{path} is not a JSON object.");
        }
        catch (JsonException failure)
        {
            throw new InvalidDataException($"{path} is not valid JSON: {failure.Message}", failure);
        }
    }

    /// <summary>A whole number of at least one; the fallback where the key is absent or null.</summary>
    public int Count(string key, int fallback) => OptionalCount(key) ?? fallback;

    /// <summary>A whole number of at least one; null where the key is absent or null.</summary>
    public int? OptionalCount(string key) => Integer(key) switch
    {
        null => null,
        { } value and > 0 => value,
        { } value => throw Unsupported(key, value, "a whole number from 1"),
    };

    /// <summary>A whole number of at least one; null where the key is null, and the default of transformers where it is absent.</summary>
    public int? CountOrNone(string key, int? absent) => values.ContainsKey(key) ? OptionalCount(key) : absent;

    /// <summary>A whole number of any sign; null where the key is null, and the default of transformers where it is absent.</summary>
    public int? Integer(string key, int? absent = null) => Value(key) switch
    {
        null => values.ContainsKey(key) ? null : absent,
        JsonValue value when value.TryGetValue(out int number) => number,
        var other => throw Invalid(key, other, "a whole number"),
    };

    /// <summary>A number; the fallback where the key is absent or null.</summary>
    public double Number(string key, double fallback) => OptionalNumber(key) ?? fallback;

    /// <summary>A number; null where the key is absent or null.</summary>
    public double? OptionalNumber(string key) => Value(key) switch
    {
        null => null,
        JsonValue value when value.TryGetValue(out double number) => number,
        var other => throw Invalid(key, other, "a number"),
    };

    /// <summary>A number that must be there.</summary>
    public double RequiredNumber(string key) => OptionalNumber(key) ?? throw Missing(key);

    /// <summary>A probability with which numbers are dropped: from 0, below 1.</summary>
    public double Dropout(string key, double fallback)
    {
        var value = Number(key, fallback);
        return value is >= 0 and < 1 ? value : throw Unsupported(key, value, "a number from 0 and below 1");
    }

    /// <summary>True or false; the fallback where the key is absent or null.</summary>
    public bool Flag(string key, bool fallback) => Value(key) switch
    {
        null => fallback,
        JsonValue value when value.TryGetValue(out bool flag) => flag,
        var other => throw Invalid(key, other, "true or false"),
    };

    /// <summary>A text; null where the key is absent or null.</summary>
    public string? Text(string key) => Value(key) switch
    {
        null => null,
        JsonValue value when value.TryGetValue(out string? text) => text,
        var other => throw Invalid(key, other, "a text"),
    };

    /// <summary>A list of texts; null where the key is absent or null.</summary>
    public IReadOnlyList<string>? Texts(string key) => Value(key) switch
    {
        null => null,
        JsonArray list when list.All(item => item is JsonValue value && value.TryGetValue(out string? _)) =>
            [.. list.Select(item => item!.GetValue<string>())],
        var other => throw Invalid(key, other, "a list of texts"),
    };

    /// <summary>A list of whole numbers; null where the key is absent or null.</summary>
    public IReadOnlyList<int>? Integers(string key) => Value(key) switch
    {
        null => null,
        JsonArray list when list.All(item => item is JsonValue value && value.TryGetValue(out int _)) => [.. list.Select(item => item!.GetValue<int>())],
        var other => throw Invalid(key, other, "a list of whole numbers"),
    };

    /// <summary>An object; null where the key is absent, null or empty.</summary>
    public ConfigurationReader? Section(string key) => Value(key) switch
    {
        null or JsonObject { Count: 0 } => null,
        JsonObject inner => new ConfigurationReader(source, inner, $"{section}{key}."),
        var other => throw Invalid(key, other, "an object"),
    };

    /// <summary>A list of objects; empty where the key is absent or null.</summary>
    public IReadOnlyList<ConfigurationReader> Sections(string key) => Value(key) switch
    {
        null => [],
        JsonArray list when list.All(item => item is JsonObject) =>
            [.. list.Select((item, i) => new ConfigurationReader(source, (JsonObject)item!, $"{section}{key}[{i}]."))],
        var other => throw Invalid(key, other, "a list of objects"),
    };

    /// <summary>Refuses any value but the one with which the key changes nothing.</summary>
    public void Require(string key, bool value)
    {
        if (Flag(key, value) != value)
            throw Unsupported(key, !value, value ? "true" : "false");
    }

    /// <summary>Refuses a value that is neither absent nor null nor an empty object or list.</summary>
    public void RequireNone(string key)
    {
        if (Value(key) is { } value and not (JsonObject { Count: 0 } or JsonArray { Count: 0 }))
            throw new UnsupportedModelException($"{source}: {section}{key} is not supported; it is {value.ToJsonString()}.");
    }

    /// <summary>Takes keys for known that change nothing in the computation.</summary>
    public void Ignore(params IEnumerable<string> keys) => _known.UnionWith(keys);

    /// <exception cref="UnsupportedModelException">There are keys that nobody has looked at.</exception>
    public void RequireAllKnown()
    {
        var unknown = values.Select(pair => pair.Key).Where(key => !_known.Contains(key)).Select(key => section + key).ToList();
        if (unknown.Count > 0)
        {
            throw new UnsupportedModelException(
                $"{source}: {string.Join(", ", unknown)} {(unknown.Count == 1 ? "is" : "are")} not known for this kind of model and might change "
                + $"what it computes. If not, name {(unknown.Count == 1 ? "it" : "them")} in {nameof(LoadOptions)}.{nameof(LoadOptions.IgnoredKeys)}.");
        }
    }

    /// <summary>The error for a value that the format allows but this library does not run.</summary>
    public UnsupportedModelException Unsupported(string key, object value, string supported) =>
        new($"{source}: {section}{key} {value} is not supported; supported: {supported}.");

    /// <summary>The error for values that do not fit each other.</summary>
    public InvalidDataException Inconsistent(string problem) => new($"{source}: {problem}.");

    private JsonNode? Value(string key)
    {
        _known.Add(key);
        return values[key];
    }

    private InvalidDataException Invalid(string key, JsonNode value, string expected) =>
        new($"{source}: {section}{key} should be {expected}, and is {value.ToJsonString()}.");

    private InvalidDataException Missing(string key) => new($"{source}: {section}{key} is missing.");
}
