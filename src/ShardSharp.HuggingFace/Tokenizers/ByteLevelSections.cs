using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using ShardSharp.HuggingFace.Configuration;

namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>Byte-level byte-pair encodings in a <c>tokenizer.json</c>.</summary>
internal static class ByteLevelSections
{
    /// <inheritdoc cref="BytePairSections.Read"/>
    public static ByteLevelModel Read(ConfigurationReader file, ConfigurationReader model, IReadOnlyDictionary<string, int> vocabulary, JsonObject values)
    {
        model.Require("fuse_unk", false);
        TokenizerFile.RequireType(file, "decoder", "ByteLevel");
        RequireLetters(vocabulary, file.Inconsistent);
        var pairs = BytePairSections.Read(file, model, vocabulary, values);
        var steps = TokenizerFile.Steps(file, "pre_tokenizer", "pretokenizers");
        if (steps.Select(step => step.Text("type")).ToArray() is not (["ByteLevel"] or ["Split", "ByteLevel"]))
            throw TokenizerFile.UnsupportedSteps(file, "pre_tokenizer", steps, "ByteLevel, or Split and ByteLevel");
        return new ByteLevelModel(pairs)
        {
            Words = Words(steps),
            Composes = TokenizerFile.RequireType(file, "normalizer", "NFC", optional: true) is not null,
            AddsSpace = steps.Count == 1 && steps[0].Flag("add_prefix_space", true),
        };
    }

    /// <summary>Without a token for each byte, something of a text would be lost.</summary>
    public static void RequireLetters(IReadOnlyDictionary<string, int> vocabulary, Func<string, InvalidDataException> damaged)
    {
        for (var value = 0; value < 256; value++)
        {
            if (!vocabulary.ContainsKey(ByteLetters.All[value].ToString()))
                throw damaged($"the vocabulary has no token '{ByteLetters.All[value]}' for byte 0x{value:X2}, which a byte-level encoding needs");
        }
    }

    private static WordPattern Words(IReadOnlyList<ConfigurationReader> steps)
    {
        if (steps.Count == 1)
        {
            steps[0].Require("use_regex", true);
            return WordPattern.Gpt2;
        }

        steps[1].Require("add_prefix_space", false);
        if (steps[1].Flag("use_regex", true))
            throw steps[1].Unsupported("use_regex", true, "false behind a Split");
        steps[0].Require("invert", false);
        if (steps[0].Text("behavior") is not "Isolated" and var behavior)
            throw steps[0].Unsupported("behavior", behavior ?? "of no kind", "Isolated");
        var pattern = steps[0].Section("pattern")?.Text("Regex") ?? throw steps[0].Inconsistent("a split needs pattern.Regex");
        return new WordPattern(new Regex(pattern, RegexOptions.CultureInvariant | RegexOptions.Compiled));
    }
}
