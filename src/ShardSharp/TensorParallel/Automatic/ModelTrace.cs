using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Automatic;

/// <summary>All calls of modules in one forward of a model, in the order in which they began.</summary>
internal sealed class ModelTrace : IDisposable
{
    private readonly List<TracedCall> _calls = [];
    private readonly List<Tensor> _kept = [];
    private readonly Stack<TracedCall> _current = [];

    private ModelTrace()
    {
    }

    /// <summary>The calls.</summary>
    public IReadOnlyList<TracedCall> Calls => _calls;

    /// <summary>The model's own.</summary>
    public TracedCall Root => _calls[0];

    /// <summary>Runs forward in evaluation mode, without recording a graph.</summary>
    /// <param name="root">The model.</param>
    /// <param name="example">What to call it with.</param>
    /// <exception cref="Exception">Whatever the model throws.</exception>
    public static ModelTrace Record(nn.Module root, object?[] example)
    {
        var call = new ModuleCall(root);
        var trace = new ModelTrace();
        var hooks = new List<ModuleHooks>();
        try
        {
            var seen = new HashSet<nn.Module>(ReferenceEqualityComparer.Instance);
            foreach (var (name, module) in ModuleTree.Walk(root))
            {
                if (ModuleTree.IsCalled(module) && seen.Add(module))
                    hooks.Add(new ModuleHooks(module, given => trace.Enter(name, module, given), trace.Leave, outermost: true));
            }

            Evaluation.Run(root, () => call.Invoke(call.Fitting(example)));
            return trace;
        }
        catch
        {
            trace.Dispose();
            throw;
        }
        finally
        {
            hooks.ForEach(hook => hook.Dispose());
        }
    }

    public void Dispose() => _kept.ForEach(tensor => tensor.Dispose());

    private object?[] Enter(string name, nn.Module module, object?[] given)
    {
        var call = new TracedCall(name, module, _current.TryPeek(out var parent) ? parent : null, given, [.. given.Select(Kept)]);
        _calls.Add(call);
        _current.Push(call);
        return given;
    }

    private object? Leave(object? returned)
    {
        var call = _current.Pop();
        (call.Returned, call.Result) = (returned, Kept(returned));
        return returned;
    }

    private object? Kept(object? value)
    {
        var complete = true;
        return TensorParts.Replace(
            value,
            tensor =>
            {
                // A copy, since modules may write to what they were given.
                var kept = tensor.detach().clone().DetachFromDisposeScope();
                _kept.Add(kept);
                return kept;
            },
            ref complete);
    }
}
