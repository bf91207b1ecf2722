using System.Text.Json.Nodes;
using ShardSharp.HuggingFace.Configuration;

namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>The merges of a <c>tokenizer.json</c>.</summary>
internal static class BytePairSections
{
    /// <param name="file">The file.</param>
    /// <param name="model">Its model.</param>
    /// <param name="vocabulary">The ids of tokens.</param>
    /// <param name="values">The contents of the file.</param>
    public static BytePairs Read(ConfigurationReader file, ConfigurationReader model, IReadOnlyDictionary<string, int> vocabulary, JsonObject values)
    {
        foreach (var key in (string[])["continuing_subword_prefix", "end_of_word_suffix"])
        {
            if (model.Text(key) is { Length: > 0 } affix)
                throw model.Unsupported(key, affix, "none");
        }

        if (model.Number("dropout", 0) is not 0 and var dropout)
            throw model.Unsupported("dropout", dropout, "none");
        var merges = values["model"]!["merges"] is JsonArray list ? list.Select(Merge).ToList() : throw file.Inconsistent("model.merges should be a list");
        return Of(vocabulary, merges, model.Flag("ignore_merges", false), file.Inconsistent);

        // Newer files have pairs, older ones a text.
        string Merge(JsonNode? merge) => merge switch
        {
            JsonArray { Count: 2 } pair => $"{pair[0]} {pair[1]}",
            JsonValue text when text.TryGetValue(out string? value) && value.Split(' ').Length == 2 => value,
            _ => throw file.Inconsistent($"model.merges should hold pairs, and holds {merge?.ToJsonString() ?? "null"}"),
        };
    }

    /// <summary>Merges that only have tokens in them, and lead to tokens.</summary>
    /// <param name="vocabulary">The ids of tokens.</param>
    /// <param name="merges">The pairs, in order.</param>
    /// <param name="ignoresMerges">Whether whole words that are tokens are taken as they are.</param>
    /// <param name="damaged">The error for others.</param>
    public static BytePairs Of(
        IReadOnlyDictionary<string, int> vocabulary, IReadOnlyList<string> merges, bool ignoresMerges, Func<string, InvalidDataException> damaged)
    {
        foreach (var merge in merges)
        {
            var pair = merge.Split(' ');
            if (pair.Length != 2 || !vocabulary.ContainsKey(pair[0]) || !vocabulary.ContainsKey(pair[1]) || !vocabulary.ContainsKey(pair[0] + pair[1]))
                throw damaged($"merge '{merge}' is not of two tokens that make another");
        }

        return new BytePairs(vocabulary, merges, ignoresMerges);
    }
}
