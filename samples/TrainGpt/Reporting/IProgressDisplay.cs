namespace TrainGpt.Reporting;

/// <summary>Shows a run to whoever watches it; disposed when the training is over.</summary>
public interface IProgressDisplay : IDisposable
{
    void Show(StepReport report);

    void ShowValidation(int afterStep, double loss);
}
