using System.Text.Json;

namespace ShardSharp.Topology;

/// <summary>
/// Reads the JSON a configuration comes in: the parameters themselves, the <c>distribution</c> argument of a SageMaker estimator around
/// them, or SageMaker hyperparameters with the parameters under <c>mp_parameters</c>.
/// </summary>
internal sealed partial class ConfigurationDocument
{
    private const string Example = "{\"microbatches\": 4}";

    private readonly ConfigurationEntry _whole;
    private readonly List<ConfigurationViolation> _violations;
    private readonly List<ConfigurationEntry> _entries = [];
    private readonly bool _isSpelled;

    private ConfigurationDocument(ConfigurationEntry whole, bool isSpelled, List<ConfigurationViolation> violations)
    {
        _whole = whole;
        _isSpelled = isSpelled;
        _violations = violations;
    }

    private ConfigurationSource Source => _whole.Source;

    /// <summary>The values a JSON text gives to keys.</summary>
    /// <param name="json">The text.</param>
    /// <param name="whole">What stands for the whole text in a report.</param>
    /// <param name="isSpelled">Whether strings may spell numbers and booleans.</param>
    /// <param name="violations">Receives what is wrong.</param>
    public static IReadOnlyList<ConfigurationEntry> Read(
        string json, ConfigurationEntry whole, bool isSpelled, List<ConfigurationViolation> violations)
    {
        var document = new ConfigurationDocument(whole, isSpelled, violations);
        document.ReadText(json, document.ReadRoot);
        return document._entries;
    }

    /// <summary>The values a JSON file gives to keys.</summary>
    public static IReadOnlyList<ConfigurationEntry> ReadFile(
        string path, ConfigurationEntry whole, List<ConfigurationViolation> violations)
    {
        try
        {
            var json = File.ReadAllText(path);
            var source = new ConfigurationSource(ConfigurationSourceKind.File, path);
            return Read(json, whole with { Source = source }, isSpelled: false, violations);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException)
        {
            violations.Add(whole.Violates($"cannot be read: {exception.Message}"));
            return [];
        }
    }

    private void ReadText(string json, Action<JsonElement> read)
    {
        try
        {
            using var document = JsonDocument.Parse(json, JsonText.Reading);
            read(document.RootElement);
        }
        catch (JsonException exception)
        {
            var place = $"line {exception.LineNumber + 1}, column {exception.BytePositionInLine + 1}";
            var cause = exception.Message.Split(" LineNumber:")[0];
            _violations.Add(_whole.Violates($"is not JSON such as {Example} ({place}): {cause}"));
        }
        catch (InvalidOperationException exception)
        {
            // A string with half of a surrogate pair parses, but cannot be read.
            _violations.Add(_whole.Violates($"is not JSON such as {Example}: {exception.Message}"));
        }
    }

    private void ReadRoot(JsonElement root)
    {
        if (root.ValueKind == JsonValueKind.String && _isSpelled)
            ReadText(root.GetString()!, ReadParameters);
        else if (root.ValueKind == JsonValueKind.Object && root.TryGetProperty("smdistributed", out _))
            ReadEstimator(root);
        else if (root.ValueKind == JsonValueKind.Object && root.TryGetProperty("mp_parameters", out _))
            ReadHyperparameters(root);
        else
            ReadParameters(root);
    }

    private void ReadParameters(JsonElement parameters) => ReadParameters(parameters, _isSpelled);

    private void ReadParameters(JsonElement parameters, bool isSpelled)
    {
        foreach (var property in Properties(parameters, string.Empty))
            if (property.Name != "$schema")
                _entries.Add(new ConfigurationEntry(property.Name, RawValue.FromJson(property.Value, isSpelled), Source));
    }

    /// <summary>The properties of an object, each name once; reports a name given twice, and anything that is no object.</summary>
    private List<JsonProperty> Properties(JsonElement element, string path)
    {
        if (element.ValueKind != JsonValueKind.Object)
        {
            Report(path, element, $"must be a JSON object such as {Example}");
            return [];
        }

        var properties = new List<JsonProperty>();
        var names = new HashSet<string>();
        foreach (var property in element.EnumerateObject())
            if (names.Add(property.Name))
                properties.Add(property);
            else
                Report(Join(path, property.Name), property.Value, "is given twice; keep one of them");
        return properties;
    }

    private void Report(string path, JsonElement value, string rule)
    {
        var entry = path.Length == 0 ? _whole : new ConfigurationEntry(path, RawValue.FromJson(value, _isSpelled), Source);
        _violations.Add(entry.Violates(rule));
    }

    private static string Join(string path, string name) => path.Length == 0 ? name : $"{path}.{name}";
}
