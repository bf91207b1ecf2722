using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using ShardSharp.Topology;

namespace ShardSharp.Tests.Topology.Configuration;

/// <summary>What the key table looks like in the documentation and as a JSON schema.</summary>
internal static class ConfigurationTables
{
    private static readonly JsonSerializerOptions Indented =
        new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static string Keys() =>
        $"""
        | Key | Value | Default | Meaning | .NET property |
        | --- | --- | --- | --- | --- |
        {string.Join('\n', ConfigurationKeys.All.Select(Row))}
        """;

    public static string ForeignKeys() =>
        $"""
        | Key | Why it is rejected | Accepted |
        | --- | --- | --- |
        {string.Join('\n', ForeignKey.All.Select(key =>
            $"| `{key.Name}` | {key.Reason} | {string.Join(", ", key.Harmless.Select(value => $"`{value}`"))} |"))}
        """;

    public static string Schema()
    {
        var properties = new JsonObject { ["$schema"] = new JsonObject { ["type"] = "string" } };
        foreach (var key in ConfigurationKeys.All)
            foreach (var name in key.Aliases.Prepend(key.Name))
            {
                var schema = SchemaOf(key.Syntax);
                schema["default"] = JsonNode.Parse(key.DefaultJson);
                schema["description"] = name == key.Name ? Meaning(key) : $"The same as {key.Name}. {Meaning(key)}";
                properties[name] = schema;
            }

        var root = new JsonObject
        {
            ["$schema"] = "https://json-schema.org/draft/2020-12/schema",
            ["title"] = "ShardSharp configuration",
            ["type"] = "object",
            ["properties"] = properties,
            ["additionalProperties"] = false,
        };
        return root.ToJsonString(Indented).ReplaceLineEndings("\n") + "\n";
    }

    private static string Row(ConfigurationKey key)
    {
        var aliases = key.Aliases.Count == 0 ? "" : $" (or {string.Join(", ", key.Aliases.Select(alias => $"`{alias}`"))})";
        return $"| <a id=\"{key.Name}\"></a>`{key.Name}`{aliases} | {key.Syntax.Description} | `{key.DefaultJson}` | {Meaning(key)} "
            + $"| `{key.Property}` |";
    }

    private static string Meaning(ConfigurationKey key)
    {
        var summary = XmlDocumentation.Of(key.Property, "summary");
        if (key.Feature is { HasLanded: false })
            return $"{summary} Only the default is supported yet.";
        var missing = key.Syntax is IChoices choices ? choices.Names.Where(name => !IsSupported(key, name)) : [];
        return missing.Any() ? $"{summary} Not supported yet: {string.Join(", ", missing)}." : summary;
    }

    private static bool IsSupported(ConfigurationKey key, string name)
    {
        Assert.True(key.TryAssign(ParallelConfiguration.Default, RawValue.FromText(name), out var configuration));
        return key.FeatureNeeded(configuration) is null or { HasLanded: true };
    }

    private static JsonObject SchemaOf(ValueSyntax syntax) => syntax switch
    {
        BooleanSyntax => new JsonObject { ["type"] = "boolean" },
        IntegerSyntax<int> integer => Range("integer", integer.Minimum, integer.Maximum == int.MaxValue ? null : integer.Maximum),
        IntegerSyntax<long> integer => Range("integer", integer.Minimum, integer.Maximum == long.MaxValue ? null : integer.Maximum),
        NumberSyntax number => Range("number", number.Minimum, number.Maximum),
        SecondsSyntax seconds => Range("number", seconds.Minimum, seconds.Maximum),
        GroupingSyntax => new JsonObject { ["type"] = "string", ["pattern"] = "^(each|contiguous|group_[1-9][0-9]*)$" },
        PathSyntax or NamesSyntax or PatternSyntax => OrNull(new JsonObject { ["type"] = "string", ["minLength"] = 1 }),
        IChoices choices => new JsonObject { ["enum"] = new JsonArray([.. choices.Names.Select(name => JsonValue.Create(name))]) },
        OptionalSyntax<int> optional => OrNull(SchemaOf(optional.Inner)),
        OptionalSyntax<double> optional => OrNull(SchemaOf(optional.Inner)),
        OptionalSyntax<FloatingPointType> optional => OrNull(SchemaOf(optional.Inner)),
        _ => throw new ArgumentException($"{syntax.GetType()} has no schema."),
    };

    private static JsonObject Range(string type, JsonNode minimum, JsonNode? maximum)
    {
        var schema = new JsonObject { ["type"] = type, ["minimum"] = minimum };
        if (maximum is not null)
            schema["maximum"] = maximum;
        return schema;
    }

    private static JsonObject OrNull(JsonObject schema)
    {
        if (schema["enum"] is JsonArray choices)
        {
            choices.Add(null);
            return schema;
        }

        schema["type"] = new JsonArray(schema["type"]!.DeepClone(), "null");
        return schema;
    }
}
