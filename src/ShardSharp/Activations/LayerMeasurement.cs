using System.Diagnostics;
using ShardSharp.Modules;
using ShardSharp.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>Measures what layers cost while they run in a step, until disposed.</summary>
/// <remarks>Bytes are those of the tensor allocator, so tensors below <see cref="AllocatorCode.SmallestBlock"/> are not counted.</remarks>
internal sealed class LayerMeasurement : IDisposable
{
    private readonly List<ModuleHooks> _hooks = [];
    private readonly Dictionary<string, LayerCost> _costs = [];
    private readonly List<string> _order = [];

    /// <param name="layers">The layers.</param>
    /// <exception cref="PlatformNotSupportedException">The allocator cannot be watched here.</exception>
    public LayerMeasurement(IEnumerable<(string Name, nn.Module Module)> layers)
    {
        if (!TensorAllocator.Install())
        {
            throw new PlatformNotSupportedException(
                "activation_memory_budget_mb needs to see what tensors take, on Linux x64 with libtorch's own allocator and executable memory allowed. "
                + "Set it to null.");
        }

        foreach (var (name, module) in layers)
        {
            Running? running = null;
            _hooks.Add(new ModuleHooks(
                module,
                given =>
                {
                    running = is_grad_enabled() ? new Running() : null;
                    return given;
                },
                returned =>
                {
                    if (running is not null)
                        Note(name, running.End(name, returned));
                    running = null;
                    return returned;
                }));
            foreach (var linear in ModuleTree.Walk(module).Select(below => below.Module).OfType<Linear>())
            {
                _hooks.Add(new ModuleHooks(
                    linear,
                    given =>
                    {
                        running?.BeginProduct();
                        return given;
                    },
                    returned =>
                    {
                        running?.EndProduct();
                        return returned;
                    }));
            }
        }
    }

    /// <summary>The layers' costs in the order of forward; of several microbatches the largest memory and the shortest time.</summary>
    public IReadOnlyList<LayerCost> Costs => [.. _order.Select(name => _costs[name])];

    public void Dispose()
    {
        foreach (var hooks in _hooks)
            hooks.Dispose();
    }

    private void Note(string name, LayerCost cost)
    {
        if (!_costs.TryGetValue(name, out var before))
        {
            _order.Add(name);
            _costs[name] = cost;
            return;
        }

        _costs[name] = new LayerCost(
            name, Math.Max(before.Kept, cost.Kept), Math.Max(before.Returned, cost.Returned),
            before.Forward < cost.Forward ? before.Forward : cost.Forward)
        {
            LastProduct = before.LastProduct < cost.LastProduct ? before.LastProduct : cost.LastProduct,
        };
    }

    /// <summary>A forward of a layer under way. What it computes and autograd does not keep goes with it, as where it is checkpointed.</summary>
    private sealed class Running
    {
        private readonly TorchSharp.DisposeScope _scope;
        private readonly long _before;
        private readonly long _started;
        private long _productStarted;
        private TimeSpan _lastProduct;

        public Running()
        {
            (_scope, _before, _started) = (NewDisposeScope(), TensorAllocator.BytesInUse, Stopwatch.GetTimestamp());
        }

        public void BeginProduct() => _productStarted = Stopwatch.GetTimestamp();

        public void EndProduct() => _lastProduct = Stopwatch.GetElapsedTime(_productStarted);

        public LayerCost End(string name, object? returned)
        {
            var time = Stopwatch.GetElapsedTime(_started);
            var tensors = TensorParts.Of(returned, out var complete);
            if (!complete)
                _scope.MoveToOuter([.. _scope.DisposablesView]);
            foreach (var tensor in tensors.Where(_scope.Contains))
                tensor.MoveToOuterDisposeScope();
            _scope.Dispose();
            var kept = TensorAllocator.BytesInUse - _before;
            var bytes = tensors.Sum(TensorBytes.Of);
            return new LayerCost(name, Math.Max(kept, bytes), bytes, time) { LastProduct = _lastProduct };
        }
    }
}
