using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using ShardSharp.HuggingFace.Configuration;

namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>Reads a <c>tokenizer.json</c> and refuses what is no byte-level byte-pair encoding.</summary>
internal static class TokenizerFile
{
    /// <exception cref="UnsupportedModelException">The tokenizer is of another kind, or has an option that is not supported.</exception>
    /// <exception cref="InvalidDataException">The file is damaged.</exception>
    public static TokenizerSettings Read(string path)
    {
        var values = ConfigurationReader.Parse(path);
        var file = new ConfigurationReader(path, values);
        var model = file.Section("model") ?? throw file.Inconsistent("model is missing");
        RequireBytePairs(model);
        RequireType(file, "decoder", "ByteLevel");
        var added = file.Sections("added_tokens").ToDictionary(Content, token => token.Integer("id") ?? throw file.Inconsistent("an added token has no id"));
        var vocabulary = Vocabulary(file, values);
        foreach (var (token, id) in added)
            vocabulary[token] = id;
        var settings = new TokenizerSettings
        {
            Vocabulary = vocabulary,
            Merges = Merges(file, values),
            Special = added,
            IgnoresMerges = model.Flag("ignore_merges", false),
            Composes = RequireType(file, "normalizer", "NFC", optional: true),
        };
        return WithAffixes(WithWords(settings, file), file);
    }

    private static void RequireBytePairs(ConfigurationReader model)
    {
        var type = model.Text("type") ?? "of no type";
        if (type != "BPE")
            throw model.Unsupported("type", type, "BPE");
        model.Require("byte_fallback", false);
        model.Require("fuse_unk", false);
        foreach (var key in (string[])["continuing_subword_prefix", "end_of_word_suffix"])
        {
            if (model.Text(key) is { Length: > 0 } affix)
                throw model.Unsupported(key, affix, "none");
        }

        if (model.Number("dropout", 0) is not 0 and var dropout)
            throw model.Unsupported("dropout", dropout, "none");
    }

    /// <summary>Whether a section is there; if so, it must be of a type.</summary>
    private static bool RequireType(ConfigurationReader file, string key, string type, bool optional = false)
    {
        var section = file.Section(key);
        if (section is null && optional)
            return false;
        var found = section?.Text("type") ?? "of no type";
        return found == type ? true : throw file.Unsupported(key, found, type);
    }

    private static string Content(ConfigurationReader token)
    {
        foreach (var key in (string[])["single_word", "lstrip", "rstrip"])
            token.Require(key, false);
        return token.Text("content") ?? throw token.Inconsistent("an added token has no content");
    }

    private static Dictionary<string, int> Vocabulary(ConfigurationReader file, JsonObject values) =>
        values["model"]!["vocab"] is JsonObject tokens && tokens.All(token => token.Value is JsonValue id && id.TryGetValue(out int _))
            ? tokens.ToDictionary(token => token.Key, token => token.Value!.GetValue<int>(), StringComparer.Ordinal)
            : throw file.Inconsistent("model.vocab should have an id for each token");

    private static List<string> Merges(ConfigurationReader file, JsonObject values)
    {
        return values["model"]!["merges"] is JsonArray merges
            ? [.. merges.Select(Merge)]
            : throw file.Inconsistent("model.merges should be a list");

        // Newer files have pairs, older ones a text.
        string Merge(JsonNode? merge) => merge switch
        {
            JsonArray { Count: 2 } pair => $"{pair[0]} {pair[1]}",
            JsonValue text when text.TryGetValue(out string? value) && value.Split(' ').Length == 2 => value,
            _ => throw file.Inconsistent($"model.merges should hold pairs, and holds {merge?.ToJsonString() ?? "null"}"),
        };
    }

    private static TokenizerSettings WithWords(TokenizerSettings settings, ConfigurationReader file)
    {
        var root = file.Section("pre_tokenizer");
        var steps = root?.Text("type") == "Sequence" ? root.Sections("pretokenizers") : root is null ? [] : [root];
        var types = steps.Select(step => step.Text("type")).ToArray();
        if (types is not (["ByteLevel"] or ["Split", "ByteLevel"]))
            throw file.Unsupported("pre_tokenizer", string.Join(", ", types), "ByteLevel, or Split and ByteLevel");
        steps[^1].Require("add_prefix_space", false);
        if (steps.Count == 1)
        {
            steps[0].Require("use_regex", true);
            return settings;
        }

        if (steps[1].Flag("use_regex", true))
            throw steps[1].Unsupported("use_regex", true, "false behind a Split");
        steps[0].Require("invert", false);
        if (steps[0].Text("behavior") is not "Isolated" and var behavior)
            throw steps[0].Unsupported("behavior", behavior ?? "of no kind", "Isolated");
        var pattern = steps[0].Section("pattern")?.Text("Regex") ?? throw steps[0].Inconsistent("a split needs pattern.Regex");
        return settings with { Words = new Regex(pattern, RegexOptions.CultureInvariant | RegexOptions.Compiled) };
    }

    private static TokenizerSettings WithAffixes(TokenizerSettings settings, ConfigurationReader file)
    {
        var root = file.Section("post_processor");
        var steps = root?.Text("type") == "Sequence" ? root.Sections("processors") : root is null ? [] : [root];
        foreach (var step in steps)
        {
            var type = step.Text("type");
            if (type == "TemplateProcessing")
                settings = WithTemplate(settings, step);
            else if (type != "ByteLevel")
                throw file.Unsupported("post_processor", type ?? "of no type", "TemplateProcessing, ByteLevel");
        }

        return settings;
    }

    private static TokenizerSettings WithTemplate(TokenizerSettings settings, ConfigurationReader template)
    {
        var pieces = template.Sections("single");
        var text = pieces.ToList().FindIndex(piece => piece.Section("Sequence") is not null);
        if (text < 0)
            throw template.Inconsistent("single has no Sequence");
        return settings with { Prefix = [.. pieces.Take(text).Select(Id)], Suffix = [.. pieces.Skip(text + 1).Select(Id)] };

        int Id(ConfigurationReader piece) => piece.Section("SpecialToken")?.Text("id") is { } token && settings.Special.TryGetValue(token, out var id)
            ? id
            : throw template.Inconsistent("single names a token that is not among added_tokens");
    }
}
