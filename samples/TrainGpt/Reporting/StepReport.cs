namespace TrainGpt.Reporting;

/// <summary>How far a run has come and how it goes.</summary>
/// <param name="Step">Steps taken.</param>
/// <param name="Steps">Steps in the run.</param>
/// <param name="Loss">Training loss of this step's global batch, in nats per token.</param>
/// <param name="LearningRate">Learning rate of this step.</param>
/// <param name="TokensPerSecond">Training speed of all ranks together, over the last steps.</param>
/// <param name="MemoryMiB">Resident memory of the first rank's process.</param>
/// <param name="Elapsed">Time since the first step began.</param>
public sealed record StepReport(
    int Step, int Steps, double Loss, double LearningRate, double TokensPerSecond, long MemoryMiB, TimeSpan Elapsed)
{
    /// <summary>Time left if the remaining steps take as long as those so far did.</summary>
    public TimeSpan Remaining => Elapsed / Step * (Steps - Step);

    /// <summary>A time as minutes and seconds, however many minutes.</summary>
    public static string Clock(TimeSpan time) => $"{(int)time.TotalMinutes}:{time.Seconds:00}";
}
