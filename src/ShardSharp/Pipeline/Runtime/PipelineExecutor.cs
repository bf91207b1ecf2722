using ShardSharp.Activations;
using ShardSharp.Communication;
using ShardSharp.Pipeline.Schedules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Runtime;

/// <summary>Runs any schedule on this rank: its actions in order, each as soon as what it needs has arrived.</summary>
/// <param name="model">The cut model.</param>
/// <param name="group">The ranks of the pipeline; nobody else sends messages in it.</param>
/// <param name="device">Where this rank computes.</param>
internal sealed class PipelineExecutor(CutModel model, ProcessGroup group, Device device) : IDisposable
{
    private readonly BoundaryBuffers _buffers = new(device);
    private readonly Dictionary<int, WeightSplit> _splits = [];
    private bool _isBroken;

    /// <summary>What the model's checkpointed regions share.</summary>
    public Recomputation Recomputation { get; set; } = new();

    /// <summary>The most forwards whose activations were kept at once in the latest step.</summary>
    public int PeakSaved { get; private set; }

    /// <summary>How long the latest step had nothing to do but to wait for another rank's tensors.</summary>
    public TimeSpan Waited { get; private set; }

    /// <summary>When each action of the latest step ran, in seconds since its begin.</summary>
    public IReadOnlyList<TimedAction> Timeline { get; private set; } = [];

    /// <inheritdoc cref="StepRun.MeasuresActivations"/>
    public bool MeasuresActivations { get; set; }

    /// <inheritdoc cref="StepRun.Activations"/>
    public IReadOnlyList<long> Activations { get; private set; } = [];

    /// <summary>How many tensors are kept between steps, for what other stages send.</summary>
    public int Buffers => _buffers.Count;

    /// <summary>Runs this rank's part of a schedule.</summary>
    /// <exception cref="InvalidOperationException">A step failed before, so that the ranks no longer agree on what comes next.</exception>
    public void Run(PipelineSchedule schedule, IPipelineStep step)
    {
        if (_isBroken)
        {
            throw new InvalidOperationException(
                "A step of this pipeline failed on this rank before, and the other ranks do not know where it stopped. End the run.");
        }

        _isBroken = true;
        foreach (var stage in schedule.Actions[group.Rank].Where(action => action.Kind == PipelineActionKind.WeightBackward).Select(action => action.Stage))
        {
            if (!_splits.ContainsKey(stage))
                _splits[stage] = new WeightSplit(model.ModulesOf(stage), [.. model.ParametersOf(stage)], model.Sharers, Recomputation);
        }

        var messages = new PipelineMessages(schedule, group, _buffers);
        using (var run = new StepRun(model, schedule, step, messages, _splits) { MeasuresActivations = MeasuresActivations })
        {
            run.DoAll(schedule.Actions[group.Rank]);
            (PeakSaved, Waited, Timeline, Activations) = (run.PeakSaved, messages.Waited, run.Timeline, run.Activations);
        }

        _buffers.Trim();
        _isBroken = false;
    }

    public void Dispose()
    {
        foreach (var split in _splits.Values)
            split.Dispose();
        _buffers.Dispose();
    }
}
