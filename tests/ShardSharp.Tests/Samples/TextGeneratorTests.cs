using ShardSharp.HuggingFace;
using TrainGpt;
using TrainGpt.Model;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Samples;

public sealed class TextGeneratorTests
{
    private static readonly HuggingFaceTokenizer Tokenizer = HuggingFaceTokenizer.Load(TrainingOptions.DataFolder);

    [Fact]
    public void Continues_past_the_longest_sequence_the_model_takes()
    {
        using var model = new Gpt(new GptSettings(Tokenizer.VocabularySize, Sequence: 8, Hidden: 16, Layers: 1, Heads: 2));
        var generator = new TextGenerator(model, Tokenizer, sequence: 8);
        var text = generator.Continue("In the beginning", length: 20, seed: 3);
        Assert.StartsWith("In the beginning", text, StringComparison.Ordinal);
        Assert.Equal(text, generator.Continue("In the beginning", length: 20, seed: 3));
        Assert.NotEqual(text, generator.Continue("In the beginning", length: 20, seed: 4));
    }

    [Fact]
    public void Takes_the_likeliest_token_when_it_is_the_only_candidate()
    {
        using var model = new Successor(Tokenizer.VocabularySize);
        var generator = new TextGenerator(model, Tokenizer, sequence: 4) { Candidates = 1 };
        Assert.Equal("ABCDE", generator.Continue("A", length: 4, seed: 1));
    }

    /// <summary>Says that after each token comes the one with the next id.</summary>
    private sealed class Successor(int vocabulary) : nn.Module<Tensor, Tensor>(nameof(Successor))
    {
        public override Tensor forward(Tensor input) => nn.functional.one_hot(input + 1, vocabulary).to(ScalarType.Float32);
    }
}
