using Spectre.Console;
using Spectre.Console.Rendering;

namespace TrainGpt.Reporting;

/// <summary>A panel on the terminal that is redrawn in place.</summary>
public sealed class LiveDisplay : IProgressDisplay
{
    private readonly TaskCompletionSource _finished = new();
    private readonly List<double> _losses = [];
    private readonly string _title;
    private readonly StreamWriter _terminal;
    private readonly Task _live;
    private LiveDisplayContext? _context;
    private StepReport? _report;
    private string _validation = "[grey]-[/]";

    public LiveDisplay(string title)
    {
        _title = title;
        // Straight to the terminal: Console.Out puts the rank before each line.
        _terminal = new StreamWriter(Console.OpenStandardOutput()) { AutoFlush = true };
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = AnsiSupport.Yes,
            Interactive = InteractionSupport.Yes,
            Out = new AnsiConsoleOutput(_terminal),
        });
        // The panel lives as long as its callback runs, and the callback until Dispose.
        _live = console.Live(new Markup("starting ...")).StartAsync(context =>
        {
            _context = context;
            return _finished.Task;
        });
    }

    public void Show(StepReport report)
    {
        _losses.Add(report.Loss);
        _report = report;
        _context?.UpdateTarget(Draw(report));
    }

    public void ShowValidation(int afterStep, double loss)
    {
        _validation = $"[bold]{loss:F4}[/] [grey]at step {afterStep}[/]";
        if (_report is not null)
            _context?.UpdateTarget(Draw(_report));
    }

    public void Dispose()
    {
        _finished.TrySetResult();
        _live.GetAwaiter().GetResult();
        _terminal.Dispose();
    }

    private Panel Draw(StepReport report)
    {
        var bar = new BreakdownChart().Width(Sparkline.Width).HideTags()
            .AddItem("done", report.Step, Color.Green)
            .AddItem("left", report.Steps - report.Step, Color.Grey23);
        var rows = new Grid().AddColumn(new GridColumn().NoWrap()).AddColumn(new GridColumn().NoWrap());
        void Row(string name, string value) => rows.AddRow($"[grey]{name}[/]", value);
        Row("step", $"[bold]{report.Step}[/] of {report.Steps}");
        Row("training loss", $"[bold green]{report.Loss:F4}[/]");
        Row("validation loss", _validation);
        Row("learning rate", $"{report.LearningRate:0.00e+0}");
        Row("speed", $"{report.TokensPerSecond:N0} tokens/s");
        Row("memory", $"{report.MemoryMiB:N0} MiB");
        Row("time", $"{StepReport.Clock(report.Elapsed)}, [bold]{StepReport.Clock(report.Remaining)}[/] left");
        var gap = new Markup(" ");
        IRenderable[] parts = [bar, gap, new Markup($"[green]{Sparkline.Draw(_losses)}[/]"), gap, rows];
        return new Panel(new Rows(parts)).Header(Markup.Escape(_title)).RoundedBorder().BorderColor(Color.Grey42).Padding(2, 1);
    }
}
