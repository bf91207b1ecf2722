using System.Diagnostics;
using ShardSharp.Native;
using ShardSharp.Pipeline.Schedules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Runtime;

/// <summary>One run of a schedule on this rank.</summary>
/// <param name="model">The cut model.</param>
/// <param name="schedule">The schedule.</param>
/// <param name="step">What else is computed.</param>
/// <param name="messages">What stages pass to each other.</param>
/// <param name="splits">How the backward of stages is divided, by stage; those that the schedule runs only whole backwards of have none.</param>
internal sealed class StepRun(
    CutModel model, PipelineSchedule schedule, IPipelineStep step, PipelineMessages messages, IReadOnlyDictionary<int, WeightSplit> splits) : IDisposable
{
    private readonly Dictionary<(int Stage, int Microbatch), SavedForward> _saved = [];
    private readonly HashSet<(int Stage, int Microbatch)> _divided = [];
    private readonly List<TimedAction> _timeline = [];
    private readonly List<long> _activations = [];

    /// <summary>The most forwards whose activations were kept at once.</summary>
    public int PeakSaved { get; private set; }

    /// <summary>When each action ran, in seconds since the run began; what it waited for another rank lies before its start.</summary>
    public IReadOnlyList<TimedAction> Timeline => _timeline;

    /// <summary>Whether to fill <see cref="Activations"/>, for which the gradients of all parameters are looked at after each action.</summary>
    public bool MeasuresActivations { get; init; }

    /// <summary>Bytes that tensors took after each action beyond what they took before the first, gradients of parameters left out.</summary>
    public IReadOnlyList<long> Activations => _activations;

    /// <summary>Does this rank's actions in order.</summary>
    public void DoAll(IReadOnlyList<PipelineAction> actions)
    {
        var last = actions.Index().LastOrDefault(
            action => action.Item.Kind is PipelineActionKind.Backward or PipelineActionKind.WeightBackward, (Index: -1, default)).Index;
        _divided.UnionWith(
            actions.Where(action => action.Kind == PipelineActionKind.InputBackward).Select(action => (action.Stage, action.Microbatch)));
        var before = MeasuresActivations ? BytesBesideGradients() : 0;
        var since = Stopwatch.GetTimestamp();
        foreach (var (index, action) in actions.Index())
        {
            var start = Stopwatch.GetElapsedTime(since) - messages.Waited;
            messages.ReceiveAhead();
            using (NewDisposeScope())
            {
                if (action.Kind == PipelineActionKind.Forward)
                    Forward(action);
                else
                    Backward(action, isLast: index == last);
            }

            // An action waits before it computes.
            _timeline.Add(new TimedAction(action, (start + messages.Waited).TotalSeconds, Stopwatch.GetElapsedTime(since).TotalSeconds));
            if (MeasuresActivations)
                _activations.Add(BytesBesideGradients() - before);
        }

        messages.Finish();
    }

    /// <summary>Lets go of what a failure left behind.</summary>
    public void Dispose()
    {
        foreach (var forward in _saved.Values)
            forward.Dispose();
    }

    private long BytesBesideGradients() => TensorAllocator.BytesInUse - model.GradientBytes;

    private void Forward(PipelineAction action)
    {
        var (stage, microbatch) = (action.Stage, action.Microbatch);
        var given = stage == 0 ? Parcel.Empty : messages.Take(new BoundaryKey(stage, false, microbatch), from: stage - 1);
        var inputs = given.Leaves(schedule.HasBackward);
        var batch = step.Inputs(microbatch);
        IReadOnlyList<Tensor> ends = [];
        var calls = _divided.Contains((stage, microbatch)) ? splits[stage].Watch(Compute) : NotWatched();
        if (stage < model.Last)
            messages.Give(new BoundaryKey(stage + 1, false, microbatch), ends);
        var saved = new SavedForward(given, inputs, ends, calls);
        if (!schedule.HasBackward)
        {
            saved.Dispose();
            return;
        }

        _saved.Add((stage, microbatch), saved);
        PeakSaved = Math.Max(PeakSaved, _saved.Count);

        void Compute() => ends = Ends(model.Run(stage, inputs, batch));

        IReadOnlyList<CapturedCall> NotWatched()
        {
            Compute();
            return [];
        }

        Tensor[] Ends(IReadOnlyList<Tensor> outputs)
        {
            if (stage == model.Last)
                outputs = step.End(microbatch, outputs) is { } end ? [end] : [];

            // What was passed on as it was given has an end of its own, which is let go of by itself.
            return
            [
                .. outputs.Select(output => (inputs.Concat(batch).Contains(output, ReferenceEqualityComparer.Instance) ? output.alias() : output)
                    .DetachFromDisposeScope()),
            ];
        }
    }

    private void Backward(PipelineAction action, bool isLast)
    {
        var saved = _saved[(action.Stage, action.Microbatch)];
        if (action.Kind == PipelineActionKind.InputBackward)
        {
            var touched = splits[action.Stage].IsVerified ? null : model.GradientVersions(action.Stage);
            Give(splits[action.Stage].BackwardOfInputs(saved, TakeGradients(action)));
            if (touched is not null && !touched.SequenceEqual(model.GradientVersions(action.Stage)))
                throw Touches();
            return;
        }

        var gradients = action.Kind == PipelineActionKind.Backward ? TakeGradients(action) : null;
        step.BeforeGradients(isLast);
        if (action.Kind == PipelineActionKind.Backward)
            Give(saved.Backward(gradients));
        else
            splits[action.Stage].BackwardOfParameters(saved);
        _saved.Remove((action.Stage, action.Microbatch));
        saved.Dispose();
        step.AfterGradients(isLast);

        void Give(IReadOnlyList<Tensor?> ofInputs)
        {
            if (action.Stage > 0)
                messages.Give(new BoundaryKey(action.Stage - 1, true, action.Microbatch), ofInputs);
        }
    }

    private static NotSupportedException Touches() => new(
        "A stage adds to gradients of parameters inside the backward of its inputs, as a function of the program's own may that computes again, so the two "
        + "cannot be divided. Use session.Checkpoint for that, or a schedule with whole backwards: pipeline = interleaved, simple or interleaved_1f1b.");

    /// <summary>The gradients of a stage's outputs; null for the last stage, whose end is the loss.</summary>
    private Parcel? TakeGradients(PipelineAction action) => action.Stage == model.Last
        ? null
        : messages.Take(new BoundaryKey(action.Stage, true, action.Microbatch), from: action.Stage + 1);
}
