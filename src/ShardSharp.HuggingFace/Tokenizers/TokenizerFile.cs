using System.Text.Json.Nodes;
using ShardSharp.HuggingFace.Configuration;

namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>Reads a <c>tokenizer.json</c> and refuses what would encode otherwise here.</summary>
internal static class TokenizerFile
{
    /// <exception cref="UnsupportedModelException">The tokenizer is of another kind, or has an option that is not supported.</exception>
    /// <exception cref="InvalidDataException">The file is damaged.</exception>
    public static TokenizerSettings Read(string path)
    {
        var values = ConfigurationReader.Parse(path);
        var file = new ConfigurationReader(path, values);
        var model = file.Section("model") ?? throw file.Inconsistent("model is missing");
        var vocabulary = Vocabulary(file, values);
        AddedToken[] added = [.. file.Sections("added_tokens").Select(token => Added(file, token))];
        TokenModel read = model.Text("type") switch
        {
            "BPE" when model.Flag("byte_fallback", false) => PieceSections.Read(file, model, vocabulary, values),
            "BPE" => ByteLevelSections.Read(file, model, vocabulary, values),
            "WordPiece" => WordPieceSections.Read(file, model, vocabulary),
            var other => throw model.Unsupported("type", other ?? "of no type", "BPE, WordPiece"),
        };
        return Affixes.Of(new TokenizerSettings { Model = read, Added = added }, file, values);
    }

    /// <summary>A section that is there must be of a type.</summary>
    /// <returns>Null if it is not there, and need not be.</returns>
    public static ConfigurationReader? RequireType(ConfigurationReader file, string key, string type, bool optional = false)
    {
        var section = file.Section(key);
        if (section is null && optional)
            return null;
        var found = section?.Text("type") ?? "of no type";
        return found == type ? section : throw file.Unsupported(key, found, type);
    }

    /// <summary>The steps of a section: those of a sequence, or itself.</summary>
    /// <param name="file">The file.</param>
    /// <param name="key">The section's key.</param>
    /// <param name="list">What a sequence calls its list.</param>
    public static IReadOnlyList<ConfigurationReader> Steps(ConfigurationReader file, string key, string list)
    {
        var root = file.Section(key);
        return root?.Text("type") == "Sequence" ? root.Sections(list) : root is null ? [] : [root];
    }

    /// <summary>The error for steps that are not those that are supported.</summary>
    public static UnsupportedModelException UnsupportedSteps(
        ConfigurationReader file, string key, IEnumerable<ConfigurationReader> steps, string supported) =>
        file.Unsupported(key, string.Join(", ", steps.Select(step => step.Text("type") ?? "of no type").DefaultIfEmpty("of no type")), supported);

    private static AddedToken Added(ConfigurationReader file, ConfigurationReader token)
    {
        token.Require("single_word", false);
        var content = token.Text("content") ?? throw token.Inconsistent("an added token has no content");
        return new AddedToken(content, token.Integer("id") ?? throw file.Inconsistent("an added token has no id"))
        {
            TakesLeft = token.Flag("lstrip", false),
            TakesRight = token.Flag("rstrip", false),
            IsNormalized = token.Flag("normalized", false),
            IsSpecial = token.Flag("special", false),
        };
    }

    private static Dictionary<string, int> Vocabulary(ConfigurationReader file, JsonObject values) =>
        (values["model"] as JsonObject)?["vocab"] is JsonObject { Count: > 0 } tokens
        && tokens.All(token => token.Value is JsonValue id && id.TryGetValue(out int number) && number >= 0)
            ? tokens.ToDictionary(token => token.Key, token => token.Value!.GetValue<int>(), StringComparer.Ordinal)
            : throw file.Inconsistent("model.vocab should have an id for each token");
}
