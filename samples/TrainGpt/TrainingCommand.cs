using System.CommandLine;

namespace TrainGpt;

/// <summary>The program's own command line. ShardSharp takes its options (--ranks, --config, ...) off it first.</summary>
internal sealed class TrainingCommand : RootCommand
{
    private static readonly TrainingOptions Defaults = new();

    private readonly Option<int> _steps = Number("--steps", Defaults.Steps, "Optimizer steps to take.");
    private readonly Option<int> _batch = Number("--batch", Defaults.Batch, "Sequences in a step, over all ranks together.");
    private readonly Option<int> _sequence = Number("--sequence", Defaults.Sequence, "Tokens in a sequence.");
    private readonly Option<int> _hidden = Number("--hidden", Defaults.Hidden, "Width of the model; a multiple of --heads.");
    private readonly Option<int> _layers = Number("--layers", Defaults.Layers, "Transformer blocks.");
    private readonly Option<int> _heads = Number("--heads", Defaults.Heads, "Attention heads in a block.");
    private readonly Option<double> _learningRate = Option("--learning-rate", Defaults.LearningRate, "Highest learning rate.");
    private readonly Option<int> _warmup = Number("--warmup", Defaults.Warmup, "Steps over which the learning rate rises.");
    private readonly Option<int> _evaluateEvery = Number("--evaluate-every", Defaults.EvaluateEvery, "Steps between two validations.");
    private readonly Option<int> _seed = Number("--seed", Defaults.Seed, "Seed of weights, sample order and generated text.");
    private readonly Option<string> _prompt = Option("--prompt", Defaults.Prompt, "How the generated text begins.");
    private readonly Option<int> _generate = Number("--generate", Defaults.Generate, "Tokens of text to generate at the end.");
    private readonly Option<string> _output = Option("--output", Defaults.Output, "Folder for the results.");

    public TrainingCommand() : base("Trains a small GPT on the first books of the King James Bible, on one rank or many.")
    {
        Option[] options =
        [
            _steps, _batch, _sequence, _hidden, _layers, _heads, _learningRate, _warmup, _evaluateEvery, _seed, _prompt, _generate, _output,
        ];
        foreach (var option in options)
            Options.Add(option);
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
        var option = Option(name, byDefault, description);
        option.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && int.TryParse(token.Value, out var value) && value < 1)
                result.AddError($"{name} {value}: must be at least 1, for example {byDefault}.");
        });
        return option;
    }

    private static Option<T> Option<T>(string name, T byDefault, string description) =>
        new(name) { Description = description, DefaultValueFactory = _ => byDefault };
}
