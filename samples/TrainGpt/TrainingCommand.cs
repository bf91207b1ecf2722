using System.CommandLine;

namespace TrainGpt;

/// <summary>The program's own command line. ShardSharp takes its options (--ranks, --config, ...) off it first.</summary>
internal sealed class TrainingCommand : RootCommand
{
    private readonly Option<int> _steps = Number("--steps", 400, "Optimizer steps to take.");
    private readonly Option<int> _batch = Number("--batch", 16, "Sequences in a step, over all ranks together.");
    private readonly Option<int> _sequence = Number("--sequence", 128, "Tokens in a sequence.");
    private readonly Option<int> _hidden = Number("--hidden", 128, "Width of the model; a multiple of --heads.");
    private readonly Option<int> _layers = Number("--layers", 4, "Transformer blocks.");
    private readonly Option<int> _heads = Number("--heads", 4, "Attention heads in a block.");
    private readonly Option<int> _warmup = Number("--warmup", 30, "Steps over which the learning rate rises.");
    private readonly Option<int> _evaluateEvery = Number("--evaluate-every", 100, "Steps between two validations.");
    private readonly Option<int> _seed = Number("--seed", 1, "Seed of the initial weights, the order of samples and the generated text.");
    private readonly Option<int> _generate = Number("--generate", 120, "Tokens of text to generate at the end.");
    private readonly Option<double> _learningRate = new("--learning-rate")
    {
        Description = "Highest learning rate.",
        DefaultValueFactory = _ => 2e-3,
    };
    private readonly Option<string> _prompt = new("--prompt")
    {
        Description = "How the generated text begins.",
        DefaultValueFactory = _ => "And the LORD said",
    };
    private readonly Option<string> _output = new("--output")
    {
        Description = "Folder for the results.",
        DefaultValueFactory = _ => Path.Combine("runs", $"{TimeProvider.System.GetLocalNow():yyyyMMdd-HHmmss}"),
    };

    public TrainingCommand() : base("Trains a small GPT on the first books of the King James Bible, on one rank or many.")
    {
        foreach (var option in new Option[]
        {
            _steps, _batch, _sequence, _hidden, _layers, _heads, _learningRate, _warmup, _evaluateEvery, _seed, _prompt, _generate, _output,
        })
        {
            Options.Add(option);
        }
    }

    public TrainingOptions Read(ParseResult parsed) => new()
    {
        Steps = parsed.GetValue(_steps),
        Batch = parsed.GetValue(_batch),
        Sequence = parsed.GetValue(_sequence),
        Hidden = parsed.GetValue(_hidden),
        Layers = parsed.GetValue(_layers),
        Heads = parsed.GetValue(_heads),
        LearningRate = parsed.GetValue(_learningRate),
        Warmup = parsed.GetValue(_warmup),
        EvaluateEvery = parsed.GetValue(_evaluateEvery),
        Seed = parsed.GetValue(_seed),
        Prompt = parsed.GetRequiredValue(_prompt),
        Generate = parsed.GetValue(_generate),
        Output = parsed.GetRequiredValue(_output),
    };

    private static Option<int> Number(string name, int byDefault, string description)
    {
        var option = new Option<int>(name) { Description = description, DefaultValueFactory = _ => byDefault };
        option.Validators.Add(result =>
        {
            if (result.Tokens.Count > 0 && int.TryParse(result.Tokens[0].Value, out var value) && value < 1)
                result.AddError($"{name} {value}: must be at least 1, for example {byDefault}.");
        });
        return option;
    }
}
