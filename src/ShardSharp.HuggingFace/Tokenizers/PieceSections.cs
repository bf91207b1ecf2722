using System.Text.Json.Nodes;
using ShardSharp.HuggingFace.Configuration;

namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>Byte-pair encodings of characters, with bytes for those that are no tokens, in a <c>tokenizer.json</c>.</summary>
internal static class PieceSections
{
    private static readonly string Space = " ", Mark = PieceModel.Mark.ToString();

    /// <inheritdoc cref="BytePairSections.Read"/>
    public static PieceModel Read(ConfigurationReader file, ConfigurationReader model, IReadOnlyDictionary<string, int> vocabulary, JsonObject values)
    {
        RequireBytes(vocabulary, file.Inconsistent);
        var (first, splits) = First(file);
        return new PieceModel(BytePairSections.Read(file, model, vocabulary, values)) { First = first, SplitsWords = splits, StripsSpace = Strips(file) };
    }

    /// <summary>Without a token for each byte, characters would be unknown.</summary>
    public static void RequireBytes(IReadOnlyDictionary<string, int> vocabulary, Func<string, InvalidDataException> damaged)
    {
        for (var value = 0; value < 256; value++)
        {
            if (!vocabulary.ContainsKey(PieceModel.ByteToken(value)))
                throw damaged($"the vocabulary has no token {PieceModel.ByteToken(value)}, which characters that are no tokens need");
        }
    }

    /// <summary>Where marks come from: from a normalizer, as transformers 4 writes it, or from what splits words.</summary>
    private static (SpaceMark First, bool Splits) First(ConfigurationReader file)
    {
        var normalizers = TokenizerFile.Steps(file, "normalizer", "normalizers");
        if (normalizers.Count > 0)
        {
            if (normalizers.Select(step => step.Text("type")).ToArray() is not ["Prepend", "Replace"])
                throw TokenizerFile.UnsupportedSteps(file, "normalizer", normalizers, "Prepend and Replace, or none");
            RequireText(normalizers[0], "prepend", Mark);
            RequireReplacement(normalizers[1], Space, Mark);
            return file.Section("pre_tokenizer")?.Text("type") is { } splitter
                ? throw file.Unsupported("pre_tokenizer", splitter, "none behind a normalizer")
                : (SpaceMark.Always, false);
        }

        var metaspace = TokenizerFile.RequireType(file, "pre_tokenizer", "Metaspace")!;
        RequireText(metaspace, "replacement", Mark);
        var scheme = metaspace.Text("prepend_scheme") ?? (metaspace.Flag("add_prefix_space", true) ? "always" : "never");
        return (scheme switch
        {
            "always" => SpaceMark.BeforePieces,
            "first" => SpaceMark.BeforeText,
            "never" => SpaceMark.None,
            _ => throw metaspace.Unsupported("prepend_scheme", scheme, "always, first, never"),
        }, metaspace.Flag("split", true));
    }

    /// <summary>Whether the decoder takes the first space away.</summary>
    private static bool Strips(ConfigurationReader file)
    {
        var steps = TokenizerFile.Steps(file, "decoder", "decoders");
        var types = steps.Select(step => step.Text("type")).ToArray();
        if (types is not (["Replace", "ByteFallback", "Fuse"] or ["Replace", "ByteFallback", "Fuse", "Strip"]))
            throw TokenizerFile.UnsupportedSteps(file, "decoder", steps, "Replace, ByteFallback, Fuse, and Strip");
        RequireReplacement(steps[0], Mark, Space);
        if (steps.Count == 3)
            return false;
        RequireText(steps[3], "content", Space);
        return (steps[3].Integer("start"), steps[3].Integer("stop")) is (1, 0)
            ? true
            : throw steps[3].Unsupported("start", $"{steps[3].Integer("start")} with stop {steps[3].Integer("stop")}", "1 with stop 0");
    }

    private static void RequireReplacement(ConfigurationReader step, string from, string to)
    {
        var pattern = step.Section("pattern")?.Text("String");
        if (pattern != from)
            throw step.Unsupported("pattern", pattern ?? "that is no String", $"'{from}'");
        RequireText(step, "content", to);
    }

    private static void RequireText(ConfigurationReader step, string key, string text)
    {
        if (step.Text(key) != text)
            throw step.Unsupported(key, $"'{step.Text(key)}'", $"'{text}'");
    }
}
