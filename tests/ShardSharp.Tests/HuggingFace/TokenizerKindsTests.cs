using System.Text.Json;
using Microsoft.ML.Tokenizers;
using ShardSharp.HuggingFace;
using ShardSharp.Tests.Checkpoints;

namespace ShardSharp.Tests.HuggingFace;

/// <summary>Tokenizers of all kinds against Hugging Face tokenizers, by references that tests/data/tokenizers/make_kinds.py makes.</summary>
public sealed class TokenizerKindsTests
{
    [Theory]
    [InlineData("llama2", "tokenizer.json")]
    [InlineData("llama2", "tokenizer.model")]
    [InlineData("metaspace_first", "tokenizer.json")]
    [InlineData("metaspace_always", "tokenizer.json")]
    [InlineData("bert", "tokenizer.json")]
    [InlineData("bert", "vocab.txt")]
    [InlineData("bert_cased", "tokenizer.json")]
    [InlineData("bert_cased", "vocab.txt", "tokenizer_config.json")]
    [InlineData("roberta", "tokenizer.json")]
    [InlineData("roberta", "vocab.json", "merges.txt")]
    public void Ids_and_texts_are_those_of_Hugging_Face_tokenizers(string kind, params string[] files)
    {
        using var folder = Folder(kind, files);
        var tokenizer = HuggingFaceTokenizer.Load(folder.Path);
        var (checkedTexts, differences) = (0, new List<string>());
        foreach (var (text, ids, plain, decoded, skipped) in References(kind))
        {
            checkedTexts++;
            if (text is not null)
            {
                Compare(text, ids, tokenizer.Encode(text));
                Compare(text, plain!, tokenizer.Encode(text, addSpecialTokens: false));
            }

            // A list of tokens does not say how to decode; transformers then cleans up.
            if (kind == "bert_cased" && files[0] == "vocab.txt")
                continue;
            Compare(text, decoded, tokenizer.Decode(ids));
            Compare(text, skipped, tokenizer.Decode(ids, skipSpecialTokens: true));
        }

        Assert.Empty(differences);
        Assert.True(checkedTexts > 100);

        void Compare<T>(string? text, IEnumerable<T> expected, IEnumerable<T> actual)
        {
            if (!expected.SequenceEqual(actual))
                differences.Add($"{JsonSerializer.Serialize(text)}: [{string.Join(' ', expected)}], not [{string.Join(' ', actual)}]");
        }
    }

    /// <summary>A second opinion: Microsoft's implementation of SentencePiece, which looks for no special tokens in texts.</summary>
    [Fact]
    public void A_model_of_SentencePiece_encodes_as_Microsofts_implementation_does()
    {
        using var folder = Folder("llama2", "tokenizer.model");
        var tokenizer = HuggingFaceTokenizer.Load(folder.Path);
        using var file = File.OpenRead(folder["tokenizer.model"]);
        var other = LlamaTokenizer.Create(file);
        var texts = References("llama2").Select(reference => reference.Text).OfType<string>()
            .Where(text => text.Length > 0 && !((string[])["<s>", "</s>", "<unk>"]).Any(text.Contains)).ToList();

        Assert.True(texts.Count > 50);
        Assert.All(texts, text => Assert.Equal(other.EncodeToIds(text), tokenizer.Encode(text)));
    }

    [Theory]
    [InlineData("llama2", "\"Prepend\"", "\"Lowercase\"", "normalizer Lowercase, Replace")]
    [InlineData("llama2", "\"Fuse\"", "\"ByteLevel\"", "decoder Replace, ByteFallback, ByteLevel, Strip")]
    [InlineData("llama2", "\"start\":1", "\"start\":2", "start 2 with stop 0")]
    [InlineData("metaspace_first", "\"prepend_scheme\":\"first\"", "\"prepend_scheme\":\"last\"", "prepend_scheme last")]
    [InlineData("metaspace_first", "\"type\":\"Metaspace\"", "\"type\":\"Whitespace\"", "pre_tokenizer Whitespace")]
    [InlineData("bert", "\"type\":\"BertNormalizer\"", "\"type\":\"NFKC\"", "normalizer NFKC")]
    [InlineData("bert", "\"type\":\"WordPiece\",\"unk", "\"type\":\"WordLevel\",\"unk", "model.type WordLevel")]
    [InlineData("bert", "\"single_word\":false", "\"single_word\":true", "added_tokens[0].single_word")]
    [InlineData("roberta", "\"type\":\"RobertaProcessing\"", "\"type\":\"Other\"", "post_processor Other")]
    public void What_would_encode_otherwise_is_refused_by_name(string kind, string now, string then, string named)
    {
        using var folder = Folder(kind, "tokenizer.json");
        Replace(folder["tokenizer.json"], now, then);

        Assert.Contains(named, Assert.Throws<UnsupportedModelException>(() => HuggingFaceTokenizer.Load(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("llama2", "\"<0x41>\":", "\"<0x041>\":", "<0x41>")]
    [InlineData("bert", "\"[UNK]\":1,", "\"[UNK]\":2,", "ids of the vocabulary")]
    [InlineData("roberta", "\"cls\":[\"<s>\",0]", "\"cls\":[\"<s>\"]", "cls")]
    public void Damaged_files_are_refused(string kind, string now, string then, string named)
    {
        using var folder = Folder(kind, "tokenizer.json");
        Replace(folder["tokenizer.json"], now, then);

        Assert.Contains(named, Assert.Throws<InvalidDataException>(() => HuggingFaceTokenizer.Load(folder.Path)).Message, StringComparison.Ordinal);
    }

    /// <summary>Field 3 of the training is the kind of model, field 3 of a piece its type, field 3 of the normalization the space before texts.</summary>
    [Theory]
    [InlineData(new byte[] { 0x12, 2, 0x18, 1 }, "model_type UNIGRAM")]
    [InlineData(new byte[] { 0x12, 4, 0x18, 2, 0x98, 2 }, "ends within a field")]
    [InlineData(new byte[] { 0x12, 5, 0x18, 2, 0x98, 2, 0 }, "byte_fallback false")]
    [InlineData(new byte[] { 0x1a, 2, 0x18, 0 }, "add_dummy_prefix false")]
    [InlineData(new byte[] { 0x1a, 3, 0x12, 1, 7 }, "precompiled_charsmap")]
    [InlineData(new byte[] { 0x0a, 5, 0x0a, 1, 0x7e, 0x18, 4 }, "'~' USER_DEFINED")]
    [InlineData(new byte[] { 0x0a, 7, 0x0a, 5, 0x3c, 0x75, 0x6e, 0x6b, 0x3e }, "'<unk>' is there twice")]
    [InlineData(new byte[] { 0x0b }, "wire type 3")]
    public void Models_of_SentencePiece_that_differ_or_are_damaged_are_refused(byte[] more, string named)
    {
        using var folder = Folder("llama2", "tokenizer.model");
        File.WriteAllBytes(folder["tokenizer.model"], [.. File.ReadAllBytes(folder["tokenizer.model"]), .. more]);

        var failure = Record.Exception(() => HuggingFaceTokenizer.Load(folder.Path));

        Assert.True(failure is UnsupportedModelException or InvalidDataException, $"{failure}");
        Assert.Contains(named, failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_cut_model_of_SentencePiece_is_refused_wherever_it_is_cut()
    {
        using var folder = Folder("llama2", "tokenizer.model");
        var whole = File.ReadAllBytes(folder["tokenizer.model"]);
        for (var length = 0; length < whole.Length; length += 97)
        {
            File.WriteAllBytes(folder["tokenizer.model"], whole[..length]);
            var failure = Record.Exception(() => HuggingFaceTokenizer.Load(folder.Path));
            Assert.True(failure is UnsupportedModelException or InvalidDataException, $"{length} bytes: {failure}");
        }
    }

    private static TemporaryFolder Folder(string kind, params string[] files)
    {
        var folder = new TemporaryFolder();
        foreach (var file in files)
            File.Copy(Repository.PathOf($"tests/data/tokenizers/{kind}/{file}"), folder[file]);
        return folder;
    }

    private static void Replace(string path, string now, string then)
    {
        var text = File.ReadAllText(path);
        Assert.Contains(now, text, StringComparison.Ordinal);
        File.WriteAllText(path, text.Replace(now, then, StringComparison.Ordinal));
    }

    private static IEnumerable<(string? Text, int[] Ids, int[]? Plain, string Decoded, string Skipped)> References(string kind)
    {
        using var file = JsonDocument.Parse(File.ReadAllText(Repository.PathOf($"tests/data/tokenizers/{kind}/encodings.json")));
        foreach (var entry in file.RootElement.EnumerateArray())
        {
            var isText = entry.TryGetProperty("text", out var text);
            yield return (
                isText ? text.GetString() : null, Numbers(entry.GetProperty("ids")), isText ? Numbers(entry.GetProperty("plain")) : null,
                entry.GetProperty("decoded").GetString()!, entry.GetProperty("skipped").GetString()!);
        }
    }

    private static int[] Numbers(JsonElement list) => [.. list.EnumerateArray().Select(number => number.GetInt32())];
}
