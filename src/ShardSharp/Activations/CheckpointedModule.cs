using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>
/// Checkpoints a module, or a run of modules that are called one after another, wherever it is called through <c>call</c>. Hooks cannot leave
/// forward out, so the ones before begin a forward of which nothing is recorded and the ones after put it into the graph.
/// </summary>
/// <remarks>
/// Of one module the hooks are the innermost: what other hooks do, such as gathering parameters or communicating, happens once, and serves
/// forward or recomputation and backward. Of a run they are the outermost, as what is computed again is calls of all its modules.
/// </remarks>
internal sealed class CheckpointedModule : IDisposable
{
    private readonly CheckpointRegion _region;
    private readonly ModuleHooks[] _hooks;
    private readonly LayerScope[] _scopes;
    private readonly Stack<CheckpointForward?> _open = [];
    private bool _isRecomputing;

    /// <param name="name">What it is called in messages.</param>
    /// <param name="run">The modules.</param>
    /// <param name="options">How to checkpoint them.</param>
    /// <param name="recomputation">What the model's regions share.</param>
    public CheckpointedModule(string name, IReadOnlyList<nn.Module> run, CheckpointOptions options, Recomputation recomputation)
    {
        _region = new CheckpointRegion(name, run.Count == 1 ? ModuleForward.Of(run[0]) : Chain(run), run, recomputation)
        {
            PreservesRandomState = options.PreservesRandomState,
            Offloading = options.Offloading,
            Products = options.Products,
        };
        _hooks = run.Count == 1
            ? [new ModuleHooks(run[0], Before, After)]
            :
            [
                new ModuleHooks(run[0], Before, static returned => returned, outermost: true),
                new ModuleHooks(run[^1], static given => given, After, outermost: true),
            ];

        // What a module of a run computes for itself goes when it ends, not when all of them do.
        _scopes = run.Count == 1 ? [] : [.. run.Select(module => new LayerScope(module))];
    }

    /// <summary>Its modules.</summary>
    public IReadOnlyList<nn.Module> Modules => _region.Modules;

    /// <summary>The linear layers whose products it keeps; null for none.</summary>
    public KeptProducts? Products => _region.Products;

    /// <summary>Gives up what a failure in forward has left open.</summary>
    public void Abandon()
    {
        while (_open.TryPop(out var forward))
            forward?.Dispose();
    }

    public void Dispose()
    {
        Abandon();
        foreach (var hooks in _hooks)
            hooks.Dispose();
        foreach (var scope in _scopes)
            scope.Dispose();
    }

    /// <summary>Calls the modules one after another. The hooks on them are this region's too, which is computing already.</summary>
    private Func<object?[], object?> Chain(IReadOnlyList<nn.Module> run)
    {
        var calls = run.Select(ModuleForward.CallOf).ToArray();
        return given =>
        {
            _isRecomputing = true;
            try
            {
                return calls.Skip(1).Aggregate(calls[0](given), (value, call) => call([value]));
            }
            finally
            {
                _isRecomputing = false;
            }
        };
    }

    private object?[] Before(object?[] given)
    {
        // Where the run computes again, its modules are called once more, hooks and all.
        var forward = _isRecomputing ? null : _region.Begin(given);
        _open.Push(forward);
        if (forward is not null && Modules.Count == 1 && HookStack.Of(Modules[0]).HasOthers)
        {
            Abandon();
            throw new NotSupportedException(
                $"Checkpointed module '{_region.Name}' has hooks of the program's own, which would not take part when it computes again. Register "
                + "them on a module inside of it or around it.");
        }

        return given;
    }

    private object? After(object? returned)
    {
        if (!_open.TryPop(out var forward) || forward is null)
            return returned;
        try
        {
            return forward.Complete(returned);
        }
        finally
        {
            forward.Dispose();
        }
    }
}
