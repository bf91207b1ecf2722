using System.Text.Json.Nodes;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace;

public sealed partial class LanguageModel
{
    /// <summary>Continues a sequence of tokens, one at a time, without dropout. Each costs a forward of all that the model looks at.</summary>
    /// <remarks>
    /// Where ranks share parameters (sharded data parallelism) all of them call it, with the same arguments, and get the same tokens.
    /// </remarks>
    /// <param name="prompt">The tokens to begin with, at least one.</param>
    /// <param name="options">How to choose tokens, and when to stop; the defaults if null.</param>
    /// <returns>The prompt and the tokens that were added.</returns>
    /// <exception cref="ArgumentException">An option makes no sense, or the prompt is empty.</exception>
    /// <exception cref="InvalidOperationException">The model does not predict the next token.</exception>
    public IReadOnlyList<int> Generate(IEnumerable<int> prompt, GenerationOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        options ??= new GenerationOptions();
        options.Validate();
        if (Task != ModelTask.CausalLanguageModel)
            throw new InvalidOperationException($"{Architecture.ClassName} predicts hidden tokens; only causal language models continue a text.");
        List<int> tokens = [.. prompt];
        if (tokens.Count == 0)
            throw new ArgumentException("The prompt has no token to begin with.", nameof(prompt));

        var stop = options.StopTokens ?? Numbers("eos_token_id");
        var context = options.Context ?? Numbers("n_positions").Concat(Numbers("max_position_embeddings")).FirstOrDefault(int.MaxValue);
        var device = parameters().First().device;
        using var unrecorded = no_grad();
        var trains = training;
        eval();
        try
        {
            for (var added = 0; added < options.NewTokens; added++)
            {
                tokens.Add(Next(tokens.TakeLast(context), device, options));
                if (stop.Contains(tokens[^1]))
                    break;
            }
        }
        finally
        {
            train(trains);
        }

        return tokens;
    }

    private int Next(IEnumerable<int> context, Device device, GenerationOptions options)
    {
        using var scope = NewDisposeScope();
        var input = tensor(context.Select(token => (long)token).ToArray(), device: device).unsqueeze(0);
        var logits = call(input)[0, -1].to(ScalarType.Float32, CPU);
        if (options.Temperature == 0)
            return (int)logits.argmax().item<long>();
        using Scalar temperature = options.Temperature;
        var (kept, ids) = logits.topk((int)Math.Min(options.TopK ?? int.MaxValue, logits.shape[0]));
        var drawn = multinomial(nn.functional.softmax(kept / temperature, 0), 1, generator: options.Generator);
        return (int)ids[drawn].item<long>();
    }

    /// <summary>The numbers of a key of the configuration, which is one or a list.</summary>
    private IReadOnlyList<int> Numbers(string key) => _configuration[key] switch
    {
        JsonArray list => [.. list.Select(item => item!.GetValue<int>())],
        JsonValue value => [value.GetValue<int>()],
        _ => [],
    };
}
