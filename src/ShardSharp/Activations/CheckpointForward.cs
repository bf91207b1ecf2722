using ShardSharp.Modules;
using ShardSharp.Native;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>A forward of a checkpointed region: nothing is recorded while an instance lives, and what it computes goes with it.</summary>
internal sealed class CheckpointForward : IDisposable
{
    private readonly CheckpointRegion _region;
    private readonly object?[] _given;
    private readonly List<Tensor> _givenTensors;
    private readonly List<Tensor> _inputs;
    private readonly Parameter[] _parameters;
    private readonly long[] _versions;
    private readonly IDisposable _unrecorded;
    private readonly DisposeScope _scope;
    private RandomState? _random;
    private readonly BufferState? _buffers;
    private readonly KeptOutputs? _kept;
    private readonly KeptOutputs? _outerKept;
    private bool _isRecorded;

    public CheckpointForward(CheckpointRegion region, object?[] given, List<Tensor> inputs, Parameter[] parameters)
    {
        (_region, _given, _givenTensors, _parameters) = (region, given, inputs, parameters);

        if (region.PreservesRandomState)
            _random = StateOf(region, inputs);

        // Whoever gave them may dispose them while the region computes, as a Sequential does with what its members return.
        _inputs = [.. inputs.Select(TensorReference.Of)];
        _versions = [.. inputs.Select(TensorVersion.Of)];
        if (region.Modules.Any(module => module.training))
            _buffers = new BufferState(region.Modules);
        _scope = NewDisposeScope();
        _unrecorded = no_grad();
        _outerKept = region.Recomputation.Recording;
        _kept = region.Products is { } products ? new KeptOutputs(products) : null;
        region.Recomputation.Recording = _kept;
    }

    /// <summary>Ends it with what the region has computed.</summary>
    /// <returns>The same, as part of the graph of the caller.</returns>
    /// <exception cref="NotSupportedException">Backward could not compute the same from it again; the message says why.</exception>
    public object? Complete(object? computed)
    {
        for (var i = 0; i < _inputs.Count; i++)
        {
            if (TensorVersion.Of(_inputs[i]) != _versions[i])
            {
                throw new NotSupportedException(
                    $"Checkpointed module '{_region.Name}' changes its input in place, which it would compute from again. Let it compute a new "
                    + "tensor, or leave it out of activation checkpointing.");
            }
        }

        var outputs = CheckpointCall.OutputsOf(_region, computed, _givenTensors);
        if (_random is { HasAdvanced: false })
            Forget(ref _random);
        if (_random is not null && _region.Recomputation.SharesRandomNumbers)
        {
            throw new NotSupportedException(
                $"Checkpointed module '{_region.Name}' draws random numbers, which ranks that are threads share on this platform, so that it could not "
                + "draw the same again. Let ranks be processes (backend shared-memory), or set preserveRandomState to false.");
        }

        _buffers?.KeepChanged();

        // Autograd notes the shape of what it gives gradients to, and parameters that are not gathered have none. Those get theirs when the region
        // computes again, by which time they are; something else has to say then that the outputs have gradients.
        Parameter[] whole = [.. _parameters.Where(parameter => parameter.numel() > 0)];
        Tensor[] anchor = whole.Length > 0 || _inputs.Any(input => input.requires_grad) ? [] : [zeros(1, requires_grad: true)];
        bool[] needsGradient = [.. _inputs.Select(input => input.requires_grad)];
        if (_kept is { AreUnchanged: false })
        {
            throw new NotSupportedException(
                $"Checkpointed module '{_region.Name}' changes in place what an nn.Linear of it returned, which strategy selective keeps. Let it compute a "
                + "new tensor, or use strategy each for it.");
        }

        _kept?.EndForward();
        var call = new CheckpointCall(_region, _given, needsGradient, whole, _random, _buffers, _kept);
        _unrecorded.Dispose();
        var placed = outputs.Select(output => _region.Offloading?.Place(output) ?? output.detach()).ToList();
        var kept = _region.Offloading?.Keep([.. _inputs, .. _kept?.Values ?? []]);
        if (kept is not null)
            _kept?.Values = kept.Saved[_inputs.Count..];
        var recorded = CheckpointFunction.apply([call, kept?.Saved[.._inputs.Count] ?? _inputs, placed, .. _inputs, .. whole, .. anchor]);
        _isRecorded = true;
        _region.Recomputation.Division?.Note(recorded, whole);
        if (kept is not null)
            _region.Offloading!.EndForward(call, kept);

        // All else that was made in the scope goes with it, such as tensors of each output's size, which TorchSharp makes and nobody needs.
        var next = 0;
        var result = CheckpointCall.WithOutputs(computed, _givenTensors, _ => recorded[next++]);
        foreach (var tensor in TensorParts.Of(result, out _).Where(_scope.Contains))
            tensor.MoveToOuterDisposeScope();
        _scope.Dispose();
        return result;
    }

    public void Dispose()
    {
        _region.Recomputation.Recording = _outerKept;
        _unrecorded.Dispose();
        _scope.Dispose();
        _inputs.ForEach(input => input.Dispose());
        if (_isRecorded)
            return;
        _random?.Dispose();
        _buffers?.Dispose();
        _kept?.Dispose();
    }

    /// <summary>TorchSharp binds the state of the CPU's generator alone.</summary>
    private static RandomState StateOf(CheckpointRegion region, List<Tensor> inputs)
    {
        if (inputs.Find(input => input.device_type != DeviceType.CPU) is { } elsewhere
            && region.Modules.SelectMany(module => ModuleTree.Walk(module)).Any(below => below.Module is Dropout { training: true, p: > 0 }))
        {
            throw new NotSupportedException(
                $"Checkpointed module '{region.Name}' has dropout and computes on {elsewhere.device}, whose random numbers cannot be put back: it would drop "
                + "others when it computes again. Set its dropout to 0, or leave it out of activation checkpointing.");
        }

        return new RandomState();
    }

    private static void Forget(ref RandomState? state)
    {
        state?.Dispose();
        state = null;
    }
}
