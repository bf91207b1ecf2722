using System.Text.Json;
using ShardSharp.HuggingFace;
using ShardSharp.Tests.Checkpoints;
using TrainGpt;

namespace ShardSharp.Tests.HuggingFace;

public sealed class HuggingFaceTokenizerTests
{
    private static readonly HuggingFaceTokenizer Tokenizer = HuggingFaceTokenizer.Load(TrainingOptions.DataFolder);

    /// <summary>What the tokenizer's own trainer (Hugging Face tokenizers) makes of each text.</summary>
    public static TheoryData<string, int[]> ReferenceEncodings =>
        Encodings(Path.Combine(TrainingOptions.DataFolder, "reference_encodings.json"));

    /// <summary>The same for a tokenizer of the kind of Llama 3's, which tests/data/tokenizers/make.py makes.</summary>
    public static TheoryData<string, int[]> Llama3Encodings => Encodings(Repository.PathOf("tests/data/tokenizers/llama3_encodings.json"));

    [Theory]
    [MemberData(nameof(ReferenceEncodings))]
    public void Encodes_as_the_reference_does(string text, int[] ids) => Assert.Equal(ids, Tokenizer.Encode(text));

    [Theory]
    [MemberData(nameof(ReferenceEncodings))]
    public void Decodes_to_the_text_that_was_encoded(string text, int[] ids) => Assert.Equal(text, Tokenizer.Decode(ids));

    [Fact]
    public void Knows_how_many_tokens_there_are() => Assert.Equal(4096, Tokenizer.VocabularySize);

    /// <summary>The sample's tokenizer.json was made of the same vocabulary and merges.</summary>
    [Theory]
    [MemberData(nameof(ReferenceEncodings))]
    public void A_tokenizer_json_encodes_as_its_vocabulary_and_merges_do(string text, int[] ids) =>
        Assert.Equal(ids, HuggingFaceTokenizer.Load(Repository.PathOf("samples/FineTune/model")).Encode(text));

    [Theory]
    [MemberData(nameof(Llama3Encodings))]
    public void Own_words_whole_words_and_prefixes_are_as_in_the_reference(string text, int[] ids)
    {
        using var folder = new TemporaryFolder();
        File.Copy(Llama3, folder["tokenizer.json"]);

        var tokenizer = HuggingFaceTokenizer.Load(folder.Path);

        Assert.Equal(ids, tokenizer.Encode(text));
        Assert.Equal("<|begin|>" + text, tokenizer.Decode(ids));
        Assert.Equal(0, tokenizer.IdOf("<|begin|>"));
        Assert.Null(tokenizer.IdOf("<|end|>"));
    }

    /// <summary>This program has no ICU (InvariantGlobalization); .NET then leaves combining characters as they are without a word.</summary>
    [Fact]
    public void Characters_that_would_have_to_be_composed_are_refused_where_that_cannot_be_done()
    {
        using var folder = new TemporaryFolder();
        File.Copy(Llama3, folder["tokenizer.json"]);

        var failure = Assert.Throws<PlatformNotSupportedException>(() => HuggingFaceTokenizer.Load(folder.Path).Encode("cafe\u0301"));

        Assert.Contains("ICU", failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"type\": \"BPE\"", "\"type\": \"Unigram\"", "model.type Unigram")]
    [InlineData("\"fuse_unk\": false", "\"fuse_unk\": true", "model.fuse_unk")]
    [InlineData("\"type\": \"NFC\"", "\"type\": \"Lowercase\"", "normalizer Lowercase")]
    [InlineData("\"behavior\": \"Isolated\"", "\"behavior\": \"Removed\"", "behavior Removed")]
    [InlineData("\"single_word\": false", "\"single_word\": true", "added_tokens[0].single_word")]
    [InlineData("\"type\": \"TemplateProcessing\"", "\"type\": \"Processing\"", "post_processor Processing")]
    public void What_would_encode_otherwise_is_refused_by_name(string now, string then, string named)
    {
        using var folder = new TemporaryFolder();
        var text = File.ReadAllText(Llama3);
        Assert.Contains(now, text, StringComparison.Ordinal);
        File.WriteAllText(folder["tokenizer.json"], text.Replace(now, then, StringComparison.Ordinal));

        Assert.Contains(
            named, Assert.Throws<UnsupportedModelException>(() => HuggingFaceTokenizer.Load(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Folders_with_damaged_tokenizers_or_none_are_refused()
    {
        using var folder = new TemporaryFolder();
        Assert.Throws<FileNotFoundException>(() => HuggingFaceTokenizer.Load(folder.Path));

        File.WriteAllText(folder["tokenizer.model"], "");

        Assert.Contains(
            "SentencePiece", Assert.Throws<InvalidDataException>(() => HuggingFaceTokenizer.Load(folder.Path)).Message, StringComparison.Ordinal);
        File.WriteAllText(folder["added_tokens.json"], "{}");
        Assert.Contains(
            "added_tokens.json", Assert.Throws<UnsupportedModelException>(() => HuggingFaceTokenizer.Load(folder.Path)).Message, StringComparison.Ordinal);
    }

    private static string Llama3 => Repository.PathOf("tests/data/tokenizers/llama3.json");

    private static TheoryData<string, int[]> Encodings(string path)
    {
        var encodings = new TheoryData<string, int[]>();
        using var file = JsonDocument.Parse(File.ReadAllText(path));
        foreach (var entry in file.RootElement.EnumerateArray())
        {
            var ids = entry.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32());
            encodings.Add(entry.GetProperty("text").GetString()!, [.. ids]);
        }

        return encodings;
    }
}
