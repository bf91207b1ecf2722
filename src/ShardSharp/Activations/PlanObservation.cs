using ShardSharp.Modules;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>What layers take in a step, to be compared with their plan.</summary>
internal sealed class PlanObservation : IDisposable
{
    private readonly nn.Module _root;
    private readonly Recomputation _recomputation;
    private readonly ModuleHooks[] _hooks;
    private long _start;

    /// <param name="root">The model.</param>
    /// <param name="first">The first layer of forward.</param>
    /// <param name="last">The last one.</param>
    /// <param name="recomputation">What the model's regions share.</param>
    public PlanObservation(nn.Module root, nn.Module first, nn.Module last, Recomputation recomputation)
    {
        (_root, _recomputation) = (root, recomputation);
        _hooks =
        [
            new ModuleHooks(first, Began, static returned => returned, outermost: true),
            new ModuleHooks(last, static given => given, Ended, outermost: true),
        ];
        recomputation.ResetMeasurement();
        recomputation.Observed = () => Bytes = Math.Max(Bytes, Current - _start);
    }

    /// <summary>The most bytes that the layers' activations have taken.</summary>
    public long Bytes { get; private set; }

    /// <summary>How long layers have computed again.</summary>
    public TimeSpan Time => _recomputation.Spent;

    /// <summary>What backward leaves at parameters is no activation.</summary>
    private long Current => TensorAllocator.BytesInUse - TensorBytes.OfCountedGradients(_root.parameters());

    public void Dispose()
    {
        _recomputation.Observed = null;
        foreach (var hooks in _hooks)
            hooks.Dispose();
    }

    private object?[] Began(object?[] given)
    {
        if (is_grad_enabled() && !_recomputation.IsUnderWay)
            _start = Current;
        return given;
    }

    private object? Ended(object? returned)
    {
        if (is_grad_enabled() && !_recomputation.IsUnderWay)
            Bytes = Math.Max(Bytes, Current - _start);
        return returned;
    }
}
