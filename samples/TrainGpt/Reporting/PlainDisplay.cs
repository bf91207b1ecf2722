namespace TrainGpt.Reporting;

/// <summary>A line every few steps, for log files and pipes.</summary>
public sealed class PlainDisplay : IProgressDisplay
{
    private const int StepsPerLine = 10;

    public PlainDisplay(string title) => Console.WriteLine(title);

    public void Show(StepReport report)
    {
        if (report.Step % StepsPerLine != 0 && report.Step != 1 && report.Step != report.Steps)
            return;
        Console.WriteLine(
            $"step {report.Step,4}/{report.Steps}  loss {report.Loss:F4}  lr {report.LearningRate:0.0e+0}  " +
            $"{report.TokensPerSecond,6:F0} tokens/s  {report.MemoryMiB} MiB  {StepReport.Clock(report.Remaining)} left");
    }

    public void ShowValidation(int afterStep, double loss) => Console.WriteLine($"step {afterStep,4}: validation loss {loss:F4}");

    public void Dispose()
    {
    }
}
