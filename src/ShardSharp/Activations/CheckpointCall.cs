using System.Diagnostics;
using ShardSharp.Modules;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>One use of a checkpointed region: what it takes to compute it again, and its backward.</summary>
internal sealed class CheckpointCall
{
    private readonly CheckpointRegion _region;
    private readonly bool[] _needsGradient;
    private readonly Parameter[] _parameters;
    private object?[] _given;
    private RandomState? _random;
    private BufferState? _buffers;
    private readonly KeptOutputs? _kept;
    private bool _isDone;
    private (IReadOnlyList<Tensor> Inputs, IReadOnlyList<Tensor> Outputs)? _computed;

    /// <param name="region">The region.</param>
    /// <param name="given">What it was given.</param>
    /// <param name="needsGradient">Which of the tensors among that need a gradient.</param>
    /// <param name="parameters">The parameters it gives gradients to.</param>
    /// <param name="random">Where the random numbers stood; null where that does not matter. Owned from now on.</param>
    /// <param name="buffers">The buffers it changed; null for none. Owned from now on.</param>
    /// <param name="kept">The products it kept; null for none. Owned from now on.</param>
    public CheckpointCall(
        CheckpointRegion region, object?[] given, bool[] needsGradient, Parameter[] parameters, RandomState? random, BufferState? buffers,
        KeptOutputs? kept)
    {
        (_region, _given, _needsGradient, _parameters, _random, _buffers, _kept) =
            (region, given, needsGradient, parameters, random, buffers, kept);
    }

    /// <summary>Whether a tensor stands for the region's parameters, since nothing else that autograd knows needs a gradient.</summary>
    public bool HasAnchor => _parameters.Length == 0 && !_needsGradient.Contains(true);

    /// <summary>Whether it has computed again and its graph is kept for another backward.</summary>
    public bool IsKept => _computed is not null;

    /// <summary>What the model's regions share.</summary>
    public Recomputation Recomputation => _region.Recomputation;

    /// <summary>The tensors of what a region computed that may have gradients, those left out that it was given.</summary>
    /// <exception cref="NotSupportedException">It may hold tensors that cannot be found.</exception>
    public static List<Tensor> OutputsOf(CheckpointRegion region, object? computed, IReadOnlyList<Tensor> given)
    {
        var outputs = TensorParts.Of(computed, out var complete);
        if (!complete)
        {
            throw new NotSupportedException(
                $"Checkpointed module '{region.Name}' returns a {computed!.GetType().Name}, in which its tensors cannot be found. Let it return "
                + "a tensor, or tuples, records, arrays, lists or dictionaries of tensors; or leave it out of activation checkpointing.");
        }

        return [.. outputs.Where(output => IsOutput(output, given))];
    }

    /// <summary>What a region computed, with other tensors in place of those of <see cref="OutputsOf"/>.</summary>
    public static object? WithOutputs(object? computed, IReadOnlyList<Tensor> given, Func<Tensor, Tensor> replace)
    {
        var complete = true;
        return TensorParts.Replace(computed, tensor => IsOutput(tensor, given) ? replace(tensor) : tensor, ref complete);
    }

    /// <summary>Called before <see cref="Backward"/>.</summary>
    /// <exception cref="InvalidOperationException">Backward has been here before.</exception>
    public void BeginBackward()
    {
        if (_isDone)
        {
            throw new InvalidOperationException(
                $"Backward came to checkpointed module '{_region.Name}' a second time, when what it computes from had been let go. Compute the loss "
                + "anew for each backward, or leave the module out of activation checkpointing.");
        }

        _isDone = true;
    }

    /// <summary>Has what was offloaded brought back.</summary>
    /// <param name="saved">What autograd kept of the inputs.</param>
    /// <returns>The inputs.</returns>
    public List<Tensor> BringBack(List<Tensor> saved)
    {
        if (_region.Offloading is not { } offloading)
            return saved;
        var all = offloading.BeginBackward(this, [.. saved, .. _kept?.Values ?? []]);
        _kept?.Values = all[saved.Count..];
        return all[..saved.Count];
    }

    /// <summary>Gradients that autograd does not take, since their shape is another.</summary>
    public List<Tensor?> RefusedGradients()
    {
        var refused = new Tensor?[_needsGradient.Length + _parameters.Length];
        var first = _parameters.Length > 0 ? _needsGradient.Length : Array.IndexOf(_needsGradient, true);
        if (first >= 0)
            refused[first] = zeros(0, 1, 0, 1, 0).DetachFromDisposeScope();
        return [.. refused];
    }

    /// <summary>None at all.</summary>
    public List<Tensor?> NoGradients() => [.. new Tensor?[_needsGradient.Length + _parameters.Length]];

    /// <summary>Computes the region again, and the gradients of what it was given and of its parameters.</summary>
    /// <param name="inputs">The tensors it was given.</param>
    /// <param name="gradients">Those of its outputs; invalid where there is none.</param>
    /// <returns>The gradients, null where there is none; each belongs to the caller.</returns>
    public List<Tensor?> Backward(List<Tensor> inputs, List<Tensor> gradients)
    {
        Recomputation.Enter();
        try
        {
            using var scope = NewDisposeScope();
            var leaves = inputs.Select(Leaf).ToList();
            if (_kept is not null)
                UnusedOutput.Find(_kept, () => TrialGradients(leaves, gradients));

            // Until backward is through, which checks that nobody has written to what was computed with.
            using var buffers = _buffers is null ? default : _buffers.Replay();
            if (Recomputation.Division is not { Keeps: true } division)
                return Gradients(leaves, Measured(leaves), gradients);
            leaves.ForEach(leaf => leaf.DetachFromDisposeScope());
            var (outputs, ofInputs) = division.Keep(
                leaves, _parameters, gradients, () => [.. Measured(leaves).Select(output => output.DetachFromDisposeScope())]);
            _computed = (leaves, outputs);
            return ofInputs is null ? Gradients(leaves, outputs, gradients) : [.. ofInputs, .. new Tensor?[_parameters.Length]];
        }
        finally
        {
            Recomputation.Leave();
            _random?.Dispose();
            _buffers?.Dispose();
            _kept?.Dispose();
            (_given, _random, _buffers) = ([], null, null);
        }
    }

    /// <summary>The gradients of what it was given and of its parameters from what it has computed again before.</summary>
    /// <inheritdoc cref="Backward"/>
    public List<Tensor?> BackwardAgain(List<Tensor> gradients)
    {
        Recomputation.Enter();
        try
        {
            return Gradients(_computed!.Value.Inputs, _computed.Value.Outputs, gradients);
        }
        finally
        {
            Recomputation.Leave();
        }
    }

    private Tensor Leaf(Tensor input, int index)
    {
        var leaf = input.detach();
        return _needsGradient[index] ? leaf.requires_grad_() : leaf;
    }

    private List<Tensor> Measured(List<Tensor> leaves)
    {
        var bytes = _kept?.Bytes ?? 0;
        var started = Stopwatch.GetTimestamp();
        var outputs = Recompute(leaves);
        _kept?.Products.Cost = (bytes, Stopwatch.GetElapsedTime(started));
        Recomputation.Computed(started);
        return outputs;
    }

    private List<Tensor> Recompute(List<Tensor> leaves)
    {
        var next = new Queue<Tensor>(leaves);
        var complete = true;
        var given = (object?[])TensorParts.Replace(_given, _ => next.Dequeue(), ref complete)!;
        using var recorded = enable_grad();
        using var random = _random is null ? default : _random.Replay();

        // What forward computes and autograd does not keep goes before backward, as in a step.
        using var scope = NewDisposeScope();
        var outer = Recomputation.Replaying;
        Recomputation.Replaying = _kept;
        _kept?.Rewind();
        try
        {
            var outputs = OutputsOf(_region, _region.Compute(given), leaves);
            foreach (var output in outputs.Where(scope.Contains))
                output.MoveToOuterDisposeScope();
            return outputs;
        }
        finally
        {
            Recomputation.Replaying = outer;
        }
    }

    /// <summary>All gradients of the region, to be compared; null where not all can be had.</summary>
    private Tensor?[]? TrialGradients(List<Tensor> leaves, List<Tensor> gradients)
    {
        using var buffers = _buffers is null ? default : _buffers.Replay();

        // Of all, whatever is wanted now; regions within compute again for this trial alone.
        using var undivided = Recomputation.Divide(null);
        var outputs = Recompute(leaves);
        Tensor[] inputs = [.. leaves.Where(leaf => leaf.requires_grad), .. _region.TrainedParameters];
        var roots = Enumerable.Range(0, outputs.Count).Where(i => outputs[i].requires_grad && !gradients[i].IsInvalid).ToArray();
        if (roots.Length == 0 || inputs.Any(input => input.numel() == 0))
            return null;
        return Recomputation.Gradients(
            [.. roots.Select(i => outputs[i])], [.. roots.Select(i => gradients[i])], inputs, retainGraph: false);
    }

    private List<Tensor?> Gradients(IReadOnlyList<Tensor> leaves, IReadOnlyList<Tensor> outputs, List<Tensor> gradients)
    {
        if (outputs.Count != gradients.Count)
        {
            throw new InvalidOperationException(
                $"Checkpointed module '{_region.Name}' returned {gradients.Count} tensors with gradients, and {outputs.Count} when it computed again. "
                + "What it does must depend on nothing but its inputs; or leave it out of activation checkpointing.");
        }

        var roots = Enumerable.Range(0, outputs.Count).Where(i => outputs[i].requires_grad && !gradients[i].IsInvalid).ToArray();
        if (roots.Length == 0)
            return NoGradients();

        // Autograd is to add up what a parameter gets from all its uses, this among others, and touch its gradient once.
        var before = _parameters.Select(parameter => parameter.grad?.DetachFromDisposeScope()).ToArray();
        foreach (var parameter in _parameters)
            parameter.grad = null;
        try
        {
            autograd.backward([.. roots.Select(i => outputs[i])], [.. roots.Select(i => gradients[i])], retain_graph: IsKept);
            return [.. leaves.Concat(_parameters).Select(leaf => leaf.grad?.DetachFromDisposeScope())];
        }
        finally
        {
            if (IsKept)
            {
                foreach (var leaf in leaves)
                    leaf.grad = null;
            }

            for (var i = 0; i < _parameters.Length; i++)
            {
                _parameters[i].grad = before[i];
                before[i]?.Dispose();
            }
        }
    }

    /// <summary>Numbers other than floating-point ones have no gradients; what a module was given and returns stays the caller's.</summary>
    private static bool IsOutput(Tensor tensor, IReadOnlyList<Tensor> given) =>
        (tensor.is_floating_point() || tensor.is_complex()) && !given.Any(input => ReferenceEquals(input, tensor));
}
