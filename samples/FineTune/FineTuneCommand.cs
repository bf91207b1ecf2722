using System.CommandLine;

namespace FineTune;

/// <summary>
/// The command line. ShardSharp reads its own options from the same arguments; they are declared here too, so that help shows them and a
/// misspelt option is found before any rank starts.
/// </summary>
internal sealed class FineTuneCommand : RootCommand
{
    private static readonly FineTuneOptions Defaults = new();

    private readonly Option<string> _model = new("--model") { Description = "A Hugging Face folder. [default: the sample's own small model]" };
    private readonly Option<string> _text = new("--text") { Description = "A text file to learn. [default: the books of Samuel]" };
    private readonly Option<int> _steps = Number("--steps", Defaults.Steps, "Optimizer steps to take.");
    private readonly Option<int> _batch = Number("--batch", Defaults.Batch, "Sequences in a step, over all ranks together.");
    private readonly Option<int> _sequence = Number("--sequence", Defaults.Sequence, "Tokens in a sequence.");
    private readonly Option<double> _learningRate = Option("--learning-rate", Defaults.LearningRate, "Highest learning rate.");
    private readonly Option<int> _loraRank = Number("--lora", Defaults.LoraRank, "Rank of LoRA's adapters; 0 trains all parameters.", least: 0);
    private readonly Option<double> _loraDropout = Option("--lora-dropout", Defaults.LoraDropout, "Dropout before the adapters.");
    private readonly Option<string[]> _loraTargets = new("--lora-target")
    {
        Description = "Pattern of the names of linears that get adapters, as q_proj; may be repeated. [default: all but the head]",
    };

    private readonly Option<int> _seed = Number("--seed", Defaults.Seed, "Seed of adapters, sample order and generated text.");
    private readonly Option<string> _prompt = Option("--prompt", Defaults.Prompt, "How the generated text begins.");
    private readonly Option<int> _generate = Number("--generate", Defaults.Generate, "Tokens of text to generate.");
    private readonly Option<double> _temperature = Option("--temperature", Defaults.Temperature, "0 takes the likeliest token each time.");
    private readonly Option<string> _output = Option("--output", Defaults.Output, "Folder for the fine-tuned model and the adapters.");

    private FineTuneCommand() : base("Fine-tunes a Hugging Face model on a text, on one rank or many, and generates text before and after.")
    {
        Option[] options =
        [
            _model, _text, _steps, _batch, _sequence, _learningRate, _loraRank, _loraDropout, _loraTargets, _seed, _prompt, _generate,
            _temperature, _output,
            new Option<int?>("--ranks") { Description = "ShardSharp: how many ranks to start. [default: 2]" },
            new Option<string>("--backend") { Description = "ShardSharp: shared-memory or threads. [default: shared-memory]" },
            new Option<string>("--config") { Description = "ShardSharp: a JSON configuration file." },
            new Option<string[]>("--set") { Description = "ShardSharp: one key of the configuration, as key=value; may be repeated." },
        ];
        foreach (var option in options)
            Options.Add(option);
    }

    /// <summary>The options that <paramref name="arguments"/> ask for; null, after printing why, if there is nothing to run.</summary>
    public static FineTuneOptions? Read(string[] arguments, out int exitCode)
    {
        var command = new FineTuneCommand();
        FineTuneOptions? options = null;
        command.SetAction(result => options = command.ReadOptions(result));
        exitCode = command.Parse(arguments).Invoke() == 0 ? 0 : 2;
        if (options is null || Problem(options) is not { } problem)
            return options;
        Console.Error.WriteLine(problem);
        exitCode = 2;
        return null;
    }

    private static string? Problem(FineTuneOptions options) =>
        !Directory.Exists(options.Model) ? $"--model {options.Model}: there is no such folder."
        : options.Text is { } text && !File.Exists(text) ? $"--text {text}: there is no such file."
        : options.Prompt.Length == 0 ? $"--prompt: must not be empty, for example \"{Defaults.Prompt}\"."
        : Directory.Exists(options.Output) && Directory.EnumerateFileSystemEntries(options.Output).Any()
            ? $"--output {options.Output}: must be empty or not exist, so that no earlier model is lost."
        : null;

    private FineTuneOptions ReadOptions(ParseResult parsed) => new()
    {
        Model = parsed.GetValue(_model) ?? Defaults.Model,
        Text = parsed.GetValue(_text),
        Steps = parsed.GetValue(_steps),
        Batch = parsed.GetValue(_batch),
        Sequence = parsed.GetValue(_sequence),
        LearningRate = parsed.GetValue(_learningRate),
        LoraRank = parsed.GetValue(_loraRank),
        LoraDropout = parsed.GetValue(_loraDropout),
        LoraTargets = parsed.GetValue(_loraTargets) ?? [],
        Seed = parsed.GetValue(_seed),
        Prompt = parsed.GetRequiredValue(_prompt),
        Generate = parsed.GetValue(_generate),
        Temperature = parsed.GetValue(_temperature),
        Output = parsed.GetRequiredValue(_output),
    };

    private static Option<int> Number(string name, int byDefault, string description, int least = 1)
    {
        var option = Option(name, byDefault, description);
        option.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && int.TryParse(token.Value, out var value) && value < least)
                result.AddError($"{name} {value}: must be at least {least}, for example {byDefault}.");
        });
        return option;
    }

    private static Option<T> Option<T>(string name, T byDefault, string description) =>
        new(name) { Description = description, DefaultValueFactory = _ => byDefault };
}
