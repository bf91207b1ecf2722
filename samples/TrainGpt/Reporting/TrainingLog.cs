using System.Diagnostics;
using System.Text.Json.Nodes;
using ShardSharp.Topology;
using Spectre.Console;

namespace TrainGpt.Reporting;

/// <summary>Measures a run, shows it, and writes it to its folder. One rank keeps it for all.</summary>
public sealed class TrainingLog : IDisposable
{
    private readonly string _title;
    private readonly TrainingOptions _options;
    private readonly double _unigramEntropy;
    private readonly RunFolder _folder;
    private readonly IProgressDisplay _display;
    private readonly List<(int Step, double Loss)> _training = [];
    private readonly List<(int Step, double Loss)> _validation = [];
    private readonly Stopwatch _elapsed = Stopwatch.StartNew();
    private readonly Stopwatch _sinceStep = Stopwatch.StartNew();
    private TimeSpan _stepTime;
    private TimeSpan _stepsTime;

    public TrainingLog(string title, TrainingOptions options, ParallelConfiguration parallel, double unigramEntropy)
    {
        (_title, _options, _unigramEntropy) = (title, options, unigramEntropy);
        _folder = new RunFolder(options.Output);
        _folder.WriteJson("configuration.json", new { Training = options, Parallel = JsonNode.Parse(parallel.ToJson()) });
        _display = !Console.IsOutputRedirected && AnsiConsole.Profile.Capabilities.Ansi
            ? new LiveDisplay(title)
            : new PlainDisplay(title);
    }

    /// <summary>Reports a step that has just ended.</summary>
    public void Step(double loss, double learningRate)
    {
        var taken = _sinceStep.Elapsed;
        _stepsTime += taken;
        // A moving average, so that the display is steady and still follows a change within some ten steps.
        _stepTime = _training.Count == 0 ? taken : 0.9 * _stepTime + 0.1 * taken;
        _training.Add((_training.Count + 1, loss));
        var tokensPerSecond = TokensPerStep / _stepTime.TotalSeconds;
        var report = new StepReport(
            _training.Count, _options.Steps, loss, learningRate, tokensPerSecond, Environment.WorkingSet >> 20, _elapsed.Elapsed);
        _folder.AddMetrics(new
        {
            report.Step, report.Loss, report.LearningRate, report.TokensPerSecond, MemoryMib = report.MemoryMiB,
            ElapsedSeconds = report.Elapsed.TotalSeconds,
        });
        _display.Show(report);
        _sinceStep.Restart();
    }

    /// <summary>Reports a validation after the latest step; its time does not count as training.</summary>
    public void Validation(double loss)
    {
        var step = _training.Count;
        _validation.Add((step, loss));
        _folder.AddMetrics(new { Step = step, ValidationLoss = loss });
        _display.ShowValidation(step, loss);
        _sinceStep.Restart();
    }

    /// <summary>Ends the display and writes the text, the plot and the summary.</summary>
    public void Finish(string generated)
    {
        _display.Dispose();
        var summary = new
        {
            Steps = _training.Count,
            TrainingLoss = _training[^1].Loss,
            ValidationLoss = _validation[^1].Loss,
            UnigramEntropy = _unigramEntropy,
            TokensPerSecond = TokensPerStep * _training.Count / _stepsTime.TotalSeconds,
            PeakMemoryMib = Process.GetCurrentProcess().PeakWorkingSet64 >> 20,
            ElapsedSeconds = _elapsed.Elapsed.TotalSeconds,
        };
        _folder.WriteJson("summary.json", summary);
        _folder.WriteText("loss.svg", LossPlot.Draw(_title, _training, _validation, _unigramEntropy));
        _folder.WriteText("generated.txt", generated + "\n");
        Console.WriteLine(
            $"""

            {generated}

            validation loss {summary.ValidationLoss:F4}, unigram entropy {_unigramEntropy:F4}
            {summary.TokensPerSecond:F0} tokens/s, {summary.PeakMemoryMib} MiB, {StepReport.Clock(_elapsed.Elapsed)}
            {_folder.Path}
            """);
    }

    public void Dispose()
    {
        _display.Dispose();
        _folder.Dispose();
    }

    private double TokensPerStep => (double)_options.Batch * _options.Sequence;
}
