using ShardSharp.HuggingFace;
using TrainGpt;
using TrainGpt.Text;

namespace ShardSharp.Tests.Samples;

public sealed class TextCorpusTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();
    private readonly HuggingFaceTokenizer _tokenizer = HuggingFaceTokenizer.Load(TrainingOptions.DataFolder);

    [Fact]
    public void Entropy_of_equally_frequent_tokens_is_the_logarithm_of_their_number()
    {
        File.WriteAllText(_path, string.Concat(Enumerable.Repeat("!\n?\n", 10)));
        Assert.Equal(1.5 * Math.Log(2), TextCorpus.Read(_path, _tokenizer).UnigramEntropy, 1e-12);
    }

    [Fact]
    public void Keeps_the_last_tenth_for_validation()
    {
        File.WriteAllText(_path, string.Concat(Enumerable.Range(0, 100).Select(i => i % 2 == 0 ? "!" : "\n")));
        var whole = _tokenizer.Encode(File.ReadAllText(_path));
        var corpus = TextCorpus.Read(_path, _tokenizer);
        Assert.Equal(whole.Count * 9 / 10, corpus.Training.Count);
        Assert.Equal(whole, corpus.Training.Concat(corpus.Validation));
    }

    public void Dispose() => File.Delete(_path);
}
