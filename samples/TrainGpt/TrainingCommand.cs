using System.CommandLine;

namespace TrainGpt;

/// <summary>
/// The command line. ShardSharp reads its own options from the same arguments; they are declared here too, so that help shows them and a
/// misspelt option is found before any rank starts.
/// </summary>
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

    private readonly Option<string?> _checkpoints = Option(
        "--checkpoints", Defaults.Checkpoints, "Folder for checkpoints, one at each validation; training goes on from the newest in it.");

    private TrainingCommand() : base("Trains a small GPT on the first books of the King James Bible, on one rank or many.")
    {
        Option[] options =
        [
            _steps, _batch, _sequence, _hidden, _layers, _heads, _learningRate, _warmup, _evaluateEvery, _seed, _prompt, _generate, _output,
            _checkpoints,
            new Option<int?>("--ranks") { Description = "ShardSharp: how many ranks to start. [default: 2]" },
            new Option<string>("--backend") { Description = "ShardSharp: shared-memory or threads. [default: shared-memory]" },
            new Option<string>("--config") { Description = "ShardSharp: a JSON configuration file." },
            new Option<string[]>("--set") { Description = "ShardSharp: one key of the configuration, as key=value; may be repeated." },
        ];
        foreach (var option in options)
            Options.Add(option);
    }

    /// <summary>The options that <paramref name="arguments"/> ask for; null, after printing why, if there is nothing to run.</summary>
    public static TrainingOptions? Read(string[] arguments, out int exitCode)
    {
        var command = new TrainingCommand();
        TrainingOptions? options = null;
        command.SetAction(result => options = command.ReadOptions(result));
        var parsed = command.Parse(arguments);
        exitCode = parsed.Invoke() == 0 ? 0 : 2;
        if (options is null || Problem(options) is not { } problem)
            return options;
        Console.Error.WriteLine(problem);
        exitCode = 2;
        return null;
    }

    private static string? Problem(TrainingOptions options)
    {
        if (options.Hidden % options.Heads == 0)
            return options.Prompt.Length > 0 ? null : $"--prompt: must not be empty, for example \"{Defaults.Prompt}\".";
        var multiple = (options.Hidden / options.Heads + 1) * options.Heads;
        return $"--hidden {options.Hidden}: must be a multiple of --heads {options.Heads}, for example {multiple}.";
    }

    private TrainingOptions ReadOptions(ParseResult parsed) => new()
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
        Checkpoints = parsed.GetValue(_checkpoints),
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
