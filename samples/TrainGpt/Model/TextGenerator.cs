using ShardSharp.HuggingFace;
using static TorchSharp.torch;

namespace TrainGpt.Model;

/// <summary>Continues a text, one sampled token at a time.</summary>
public sealed class TextGenerator(nn.Module<Tensor, Tensor> model, HuggingFaceTokenizer tokenizer, int sequence)
{
    /// <summary>Below 1 likelier tokens are favoured; above, rarer ones.</summary>
    public double Temperature { get; init; } = 0.8;

    /// <summary>Only this many of the likeliest tokens are drawn from.</summary>
    public int Candidates { get; init; } = 40;

    /// <summary>
    /// Returns <paramref name="prompt"/> and <paramref name="length"/> tokens more. The same seed draws the same text on every rank.
    /// </summary>
    public string Continue(string prompt, int length, int seed)
    {
        using var noGradients = no_grad();
        var random = new Random(seed);
        List<int> ids = [.. tokenizer.Encode(prompt)];
        for (var i = 0; i < length; i++)
            ids.Add(Next(ids, random));
        return tokenizer.Decode(ids);
    }

    private int Next(List<int> ids, Random random)
    {
        using var scope = NewDisposeScope();
        var context = ids.TakeLast(sequence).Select(id => (long)id).ToArray();
        var last = model.call(tensor(context).unsqueeze(0))[0, -1];
        var (logits, candidates) = last.topk(Candidates);
        var weights = nn.functional.softmax(logits / Temperature, 0).data<float>().ToArray();

        var drawn = random.NextDouble() * weights.Sum();
        var choice = 0;
        while (choice < weights.Length - 1 && (drawn -= weights[choice]) >= 0)
            choice++;
        return (int)candidates[choice].item<long>();
    }
}
