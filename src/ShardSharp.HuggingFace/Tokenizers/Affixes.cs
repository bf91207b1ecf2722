using System.Text.Json.Nodes;
using ShardSharp.HuggingFace.Configuration;

namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>The tokens that a <c>tokenizer.json</c> puts before and after every text.</summary>
internal static class Affixes
{
    /// <param name="settings">The tokenizer without them.</param>
    /// <param name="file">The file.</param>
    /// <param name="values">The contents of the file.</param>
    public static TokenizerSettings Of(TokenizerSettings settings, ConfigurationReader file, JsonObject values)
    {
        var root = values["post_processor"];
        IEnumerable<JsonNode?> sources = root?["type"]?.ToString() == "Sequence" ? root["processors"] as JsonArray ?? [] : new[] { root };
        foreach (var (step, source) in TokenizerFile.Steps(file, "post_processor", "processors").Zip(sources))
        {
            settings = step.Text("type") switch
            {
                "TemplateProcessing" => WithTemplate(settings, step),
                "BertProcessing" or "RobertaProcessing" => settings with { Prefix = [Token(step, source!, "cls")], Suffix = [Token(step, source!, "sep")] },
                "ByteLevel" => settings,
                var other => throw file.Unsupported("post_processor", other ?? "of no type", "TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel"),
            };
        }

        return settings;
    }

    private static TokenizerSettings WithTemplate(TokenizerSettings settings, ConfigurationReader template)
    {
        var pieces = template.Sections("single");
        var text = pieces.ToList().FindIndex(piece => piece.Section("Sequence") is not null);
        if (text < 0)
            throw template.Inconsistent("single has no Sequence");
        return settings with { Prefix = [.. pieces.Take(text).SelectMany(Ids)], Suffix = [.. pieces.Skip(text + 1).SelectMany(Ids)] };

        // A file may call several tokens one.
        IReadOnlyList<int> Ids(ConfigurationReader piece)
        {
            if (piece.Section("SpecialToken")?.Text("id") is not { } name)
                throw template.Inconsistent("single has something that is neither Sequence nor SpecialToken");
            return template.Section("special_tokens")?.Section(name)?.Integers("ids")
                ?? throw template.Inconsistent($"special_tokens has no ids for {name}, which single names");
        }
    }

    /// <summary>A token with its id, in a list of two.</summary>
    private static int Token(ConfigurationReader step, JsonNode source, string key) =>
        source[key] is JsonArray { Count: 2 } pair && pair[1] is JsonValue id && id.TryGetValue(out int number)
            ? number
            : throw step.Inconsistent($"{key} should be a token and its id");
}
