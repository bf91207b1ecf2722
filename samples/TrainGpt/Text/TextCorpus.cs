using ShardSharp.HuggingFace;

namespace TrainGpt.Text;

/// <summary>A tokenised text, its first nine tenths to train on and the rest to validate with.</summary>
public sealed record TextCorpus(IReadOnlyList<int> Training, IReadOnlyList<int> Validation, double UnigramEntropy)
{
    public static TextCorpus Read(string path, HuggingFaceTokenizer tokenizer) => Of(File.ReadAllText(path), tokenizer);

    public static TextCorpus Of(string text, HuggingFaceTokenizer tokenizer)
    {
        var tokens = tokenizer.Encode(text);
        var split = tokens.Count * 9 / 10;
        return new TextCorpus([.. tokens.Take(split)], [.. tokens.Skip(split)], Entropy(tokens));
    }

    /// <summary>
    /// The loss, in nats per token, of the best model that ignores context and knows only how frequent each token is. A model
    /// that learns anything about the order of words ends well below.
    /// </summary>
    private static double Entropy(IReadOnlyList<int> tokens) => tokens.CountBy(id => id)
        .Select(entry => (double)entry.Value / tokens.Count)
        .Sum(probability => -probability * Math.Log(probability));
}
