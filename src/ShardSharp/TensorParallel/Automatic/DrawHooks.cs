using ShardSharp.Activations;
using ShardSharp.Modules;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Automatic;

/// <summary>
/// Tells which modules of a model draw random numbers in their own code, as <c>nn.functional.dropout</c> does, rather than by a dropout module: no hook sees
/// such calls, but whoever looks at the generator before and after.
/// </summary>
internal sealed class DrawHooks : IDisposable
{
    private readonly List<ModuleHooks> _hooks = [];
    private readonly Stack<(string Name, bool IsDropout)> _current = [];
    private readonly Action<DrawMoment, string> _report;
    private RandomState _state = new();

    /// <param name="root">The model.</param>
    /// <param name="report">Told of each module when its call begins, each time it has drawn, and when the call ends.</param>
    public DrawHooks(nn.Module root, Action<DrawMoment, string> report)
    {
        _report = report;
        foreach (var (name, module) in ModuleTree.Walk(root).DistinctBy(below => (object)below.Module, ReferenceEqualityComparer.Instance))
        {
            if (ModuleTree.IsCalled(module))
                _hooks.Add(new ModuleHooks(module, given => Begin(name, module, given), End, outermost: true));
        }
    }

    public void Dispose()
    {
        _hooks.ForEach(hook => hook.Dispose());
        _state.Dispose();
    }

    private object?[] Begin(string name, nn.Module module, object?[] given)
    {
        // No module is called within itself: its last call failed.
        if (_current.Any(call => call.Name == name))
            _current.Clear();
        Look();
        _current.Push((name, module is Dropout));
        _report(DrawMoment.Begin, name);
        return given;
    }

    private object? End(object? returned)
    {
        Look();
        if (_current.TryPop(out var ended))
            _report(DrawMoment.End, ended.Name);
        return returned;
    }

    private void Look()
    {
        if (!_state.HasAdvanced)
            return;
        _state.Dispose();
        _state = new RandomState();
        if (_current.TryPeek(out var current) && !current.IsDropout)
            _report(DrawMoment.Draw, current.Name);
    }
}
