using ShardSharp.Steps;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp;

/// <content>How a step runs where the model is not cut into stages.</content>
public abstract partial class DistributedModel
{
    private readonly StepGarbage _garbage = new();
    private int _accumulated;
    private int _holds;
    private bool _isLastBackward;

    /// <summary>Runs forward and backward for every microbatch, and averages the gradients if it is time to.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="compute">Computes a microbatch from its number and its tensors.</param>
    /// <param name="weights">What each counts; null where all count the same.</param>
    /// <returns>What was computed of each microbatch, without a graph.</returns>
    private protected IReadOnlyList<Tensor[]> RunStep(
        Microbatches batch, Func<int, IReadOnlyList<Tensor>, MicrobatchResult> compute, MicrobatchWeights? weights = null)
    {
        var synchronizes = Synchronizes();

        // Held here: a collection on another thread could free a Scalar that only an operator's argument refers to.
        using var scaling = new LossFactors(batch.Count, Configuration, weights);
        var lossScale = LossScaler?.Scale ?? 1;
        using Scalar scale = lossScale;
        var outputs = new List<Tensor[]>(batch.Count);
        _activations.BeginStep();
        StepMemory.BeginStep();
        for (var i = 0; i < batch.Count; i++)
        {
            using var scope = NewDisposeScope();
            using var memory = StepMemory.BeginMicrobatch();
            var (returned, value) = RunLoss(batch, i, compute);
            memory.ForwardEnded();
            var scaled = scaling.Scale(value, i);
            var last = synchronizes && i == batch.Count - 1;
            if (lossScale != 1)
                scaled = scaled.to_type(ScalarType.Float32) * scale;
            _engine.Arm(last, lossScale);
            _activations.Backward(() => RunLastBackward(scaled));
            TensorRanks?.ThrowDeferred();
            _engine.Finish(last);
            if (last)
                AverageOverTensorRanks();
            outputs.Add([.. returned.Select(tensor => tensor.MoveToOuterDisposeScope())]);
        }

        StepMemory.EndStep();
        _activations.EndStep(batch.Count);
        EndStep(synchronizes);
        return outputs;
    }

    /// <summary>Whether the step that begins is followed by one of the optimizer, so that gradients are averaged.</summary>
    private bool Synchronizes() => _holds == 0 && ++_accumulated % Configuration.BackwardPassesPerStep == 0;

    private void EndStep(bool synchronizes)
    {
        HasOwnGradients = !synchronizes;

        // Here rather than before the next step, so that an evaluation between them sees the same model on all ranks.
        if (synchronizes && Configuration.BroadcastBuffers)
            BroadcastBuffers();

        _garbage.EndStep();
        StepEnded?.Invoke();
    }

    /// <summary>Runs forward for every microbatch, without recording a graph.</summary>
    private protected IReadOnlyList<Tensor[]> RunForward(Microbatches batch, Func<int, IReadOnlyList<Tensor>, IReadOnlyList<Tensor>> output)
    {
        using var _ = no_grad();
        var outputs = new List<Tensor[]>(batch.Count);
        for (var i = 0; i < batch.Count; i++)
        {
            using var scope = NewDisposeScope();
            var returned = Explained(() => output(i, batch.Slice(i)));

            // What the program returned may be a tensor that it goes on using.
            outputs.Add([.. returned.Select(tensor => tensor.detach().MoveToOuterDisposeScope())]);
        }

        return outputs;
    }

    private (Tensor[] Returned, Tensor Loss) RunLoss(
        Microbatches batch, int index, Func<int, IReadOnlyList<Tensor>, MicrobatchResult> compute)
    {
        // What forward computed and autograd did not keep goes before backward, which is when memory peaks.
        using var scope = NewDisposeScope();
        var result = Explained(() => compute(index, batch.Slice(index)));
        RequireLoss(result.Loss);
        return ([.. result.Detached().Select(tensor => tensor.MoveToOuterDisposeScope())], result.Loss.MoveToOuterDisposeScope());
    }

    private T Explained<T>(Func<T> compute)
    {
        try
        {
            return _activations.Guard(compute);
        }
        catch (Exception failure) when ((_engine.Explain(failure) ?? TensorParallelism?.Explain(failure)) is { } explained)
        {
            throw explained;
        }
    }

    private static void RequireLoss(Tensor value)
    {
        if (value.numel() != 1 || !value.requires_grad)
        {
            throw new InvalidOperationException(
                $"A step needs the loss as a single number that depends on the model's parameters; it got shape [{string.Join(", ", value.shape)}]"
                + $"{(value.requires_grad ? "" : " without a gradient function")}.");
        }
    }

    /// <summary>Whether backward goes through the graph of a step now, which it does once.</summary>
    private bool IsLastBackward() => _isLastBackward;

    private void RunLastBackward(Tensor loss)
    {
        _isLastBackward = true;
        try
        {
            loss.backward();
        }
        finally
        {
            _isLastBackward = false;
        }
    }

    private sealed class Accumulation : IDisposable
    {
        private DistributedModel? _model;

        public Accumulation(DistributedModel model)
        {
            _model = model;
            model._holds++;
        }

        public void Dispose()
        {
            if (_model is not null)
                _model._holds--;
            _model = null;
        }
    }
}
