using System.Text.Json;
using System.Text.Json.Nodes;
using ShardSharp.Topology;

namespace ShardSharp.Tests.Topology.Configuration;

/// <summary>Loads configurations the way tests need it.</summary>
internal static class Loading
{
    /// <summary>As if every feature had landed.</summary>
    public static readonly ConfigurationLoader Everything = new(_ => true);

    public static readonly IReadOnlyDictionary<string, string> NoVariables = new Dictionary<string, string>();

    public static IReadOnlyList<ConfigurationViolation> Violations(Action load) =>
        Assert.Throws<ConfigurationException>(load).Violations;

    public static IReadOnlyList<ConfigurationViolation> Violations(string json, int? worldSize = null) =>
        Violations(() => Everything.Parse(json, worldSize));

    public static ConfigurationViolation Violation(string json, int? worldSize = null) => Assert.Single(Violations(json, worldSize));

    public static Dictionary<string, string> Variables(params (string Name, string Value)[] variables) =>
        variables.ToDictionary(variable => variable.Name, variable => variable.Value);

    /// <summary>The JSON object after following every suggestion.</summary>
    public static string Follow(string json, IReadOnlyList<ConfigurationViolation> violations)
    {
        var values = JsonNode.Parse(json)!.AsObject();
        foreach (var violation in violations)
        {
            values.Remove(violation.Key);
            if (violation.Suggestion.Value is { } value)
                values[violation.Suggestion.Key] = JsonNode.Parse(value);
        }

        return values.ToJsonString(new JsonSerializerOptions());
    }
}
