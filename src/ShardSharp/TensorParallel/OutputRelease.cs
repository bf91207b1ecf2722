using System.Runtime.CompilerServices;
using ShardSharp.Modules;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel;

/// <summary>
/// Disposes what divided layers returned when the module that called them has returned something else. What backward needs of it autograd has kept by
/// then; a sum that only went into a residual would otherwise stay as long as the caller's dispose scope, which is until memory peaks.
/// </summary>
internal sealed class OutputRelease : IDisposable
{
    private readonly List<ModuleHooks> _hooks = [];
    private readonly Stack<(nn.Module Module, List<Tensor> Outputs)> _calls = [];

    /// <summary>Watches the calls of all modules with divided ones below them.</summary>
    /// <param name="root">The model.</param>
    /// <param name="divided">Names of modules whose outputs will be added.</param>
    public OutputRelease(nn.Module root, IReadOnlyCollection<string> divided)
    {
        foreach (var (name, module) in ModuleTree.Walk(root).DistinctBy(below => (object)below.Module, ReferenceEqualityComparer.Instance))
        {
            var above = ModuleTree.NameOf(name, "");
            if (ModuleTree.IsCalled(module) && divided.Any(each => each.StartsWith(above, StringComparison.Ordinal)))
                _hooks.Add(new ModuleHooks(module, given => Begin(module, given), End));
        }
    }

    /// <summary>Whether a failure is that of code which uses what was disposed.</summary>
    public static bool IsCause(Exception failure) =>
        failure is InvalidOperationException && failure.Message.Contains("empty handle", StringComparison.Ordinal);

    /// <summary>What a divided layer returned, which is the calling module's from now on.</summary>
    public void Add(object? returned)
    {
        if (returned is Tensor tensor && _calls.TryPeek(out var call))
            call.Outputs.Add(tensor);
    }

    public void Dispose() => _hooks.ForEach(hook => hook.Dispose());

    private object?[] Begin(nn.Module module, object?[] given)
    {
        // No module is called within itself: its last call failed.
        if (_calls.Any(call => call.Module == module))
            _calls.Clear();
        _calls.Push((module, []));
        return given;
    }

    private object? End(object? returned)
    {
        if (!_calls.TryPop(out var call) || call.Outputs.Count == 0)
            return returned;
        var passedOn = TensorParts.Of(returned, out var isKnown).ToHashSet<object>(ReferenceEqualityComparer.Instance);
        foreach (var output in isKnown ? call.Outputs : [])
        {
            if (passedOn.Contains(output))
                Add(output);
            else if (!output.IsInvalid && ScopeOf(output) is not null)
                output.Dispose();
        }

        return returned;
    }

    /// <summary>The dispose scope of a tensor; null where the program has taken it out, and so means to keep it.</summary>
    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "get_OwningDisposeScope")]
    private static extern DisposeScope? ScopeOf(Tensor tensor);
}
