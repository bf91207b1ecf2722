using System.Text.Json;
using TrainGpt;
using TrainGpt.Text;

namespace ShardSharp.Tests.Samples;

public sealed class BytePairTokenizerTests
{
    private static readonly BytePairTokenizer Tokenizer = new(TrainingOptions.DataFolder);

    /// <summary>What the tokenizer's own trainer (Hugging Face tokenizers) makes of each text.</summary>
    public static TheoryData<string, int[]> ReferenceEncodings
    {
        get
        {
            var encodings = new TheoryData<string, int[]>();
            using var file = JsonDocument.Parse(File.ReadAllText(Path.Combine(TrainingOptions.DataFolder, "reference_encodings.json")));
            foreach (var entry in file.RootElement.EnumerateArray())
            {
                var ids = entry.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32());
                encodings.Add(entry.GetProperty("text").GetString()!, [.. ids]);
            }

            return encodings;
        }
    }

    [Theory]
    [MemberData(nameof(ReferenceEncodings))]
    public void Encodes_as_the_reference_does(string text, int[] ids) => Assert.Equal(ids, Tokenizer.Encode(text));

    [Theory]
    [MemberData(nameof(ReferenceEncodings))]
    public void Decodes_to_the_text_that_was_encoded(string text, int[] ids) => Assert.Equal(text, Tokenizer.Decode(ids));

    [Fact]
    public void Knows_how_many_tokens_there_are() => Assert.Equal(4096, Tokenizer.VocabularySize);
}
