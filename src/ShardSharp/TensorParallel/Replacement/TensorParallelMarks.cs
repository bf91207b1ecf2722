using System.Runtime.CompilerServices;
using ShardSharp.Modules;
using ShardSharp.Native;
using ShardSharp.TensorParallel.Layers;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Replacement;

/// <summary>For which modules tensor parallelism was turned on or off, and the replacement of those that it is on for.</summary>
internal sealed class TensorParallelMarks
{
    private readonly ConditionalWeakTable<nn.Module, object> _marks = [];

    /// <summary>Turns it on or off for a module and those below it that have no mark of their own.</summary>
    public void Set(nn.Module module, bool enabled) => _marks.AddOrUpdate(module, enabled);

    /// <summary>Turns it on or off for a module unless that was done before.</summary>
    public void SetOuter(nn.Module module, bool enabled) => _marks.TryAdd(module, enabled);

    /// <summary>Whether it is on for any module of a model.</summary>
    public bool AreIn(nn.Module root) => ModuleTree.Walk(root).Any(below => Of(below.Module) == true);

    /// <summary>Replaces the outermost modules that are registered and that it is on for.</summary>
    /// <param name="root">The model.</param>
    /// <param name="registry">What replaces what.</param>
    /// <param name="ranks">The ranks.</param>
    /// <param name="moved">Told of each module and what takes its place.</param>
    /// <returns>Names of the replaced modules.</returns>
    /// <exception cref="TensorParallelException">A module cannot be replaced.</exception>
    public IReadOnlyList<string> Replace(
        nn.Module root, TensorParallelRegistry registry, TensorRanks ranks, Action<nn.Module, nn.Module>? moved = null)
    {
        if (Of(root) == true && registry.For(root) is not null)
        {
            throw new TensorParallelException(
                $"Tensor parallelism is on for the model itself, a {root.GetType().Name}, which is registered. Only what a model holds can be replaced: put it into "
                + "another module, or create the distributed module yourself.");
        }

        var replaced = new List<string>();
        var shared = SharedParameters(root);

        // TorchSharp may know a child by its field's name as well as by that it was registered with.
        var known = new HashSet<nn.Module>(ReferenceEqualityComparer.Instance);
        Descend(root, "", enabled: false);
        return replaced;

        void Descend(nn.Module parent, string parentName, bool enabled)
        {
            enabled = Of(parent) ?? enabled;
            foreach (var (childName, child) in parent.named_children().ToArray())
            {
                var name = ModuleTree.NameOf(parentName, childName);
                if (!known.Add(child))
                    continue;
                if ((Of(child) ?? enabled) && registry.For(child) is { } replacement)
                {
                    RequireOwnParameters(name, child, shared);
                    var made = Made(name, child, replacement, ranks);
                    ChildSlot.Replace(parent, parentName, childName, child, made);
                    moved?.Invoke(child, made);
                    child.Dispose();
                    replaced.Add(name);
                }
                else
                {
                    Descend(child, name, enabled);
                }
            }
        }
    }

    private bool? Of(nn.Module module) => _marks.TryGetValue(module, out var enabled) ? (bool)enabled : null;

    private static nn.Module Made(string name, nn.Module child, Replacement replacement, TensorRanks ranks)
    {
        try
        {
            return replacement.For(child, ranks);
        }
        catch (TensorParallelException failure)
        {
            throw new TensorParallelException(
                $"Module '{name}' cannot be replaced: {failure.Message} To leave it whole, turn tensor parallelism off for it (SetTensorParallelism(module, false)).",
                failure);
        }
    }

    /// <summary>The parameters that several modules hold: dividing one of them would not divide the others.</summary>
    private static HashSet<nint> SharedParameters(nn.Module root) => ModuleTree.Walk(root)
        .SelectMany(below => below.Module.named_parameters(recurse: false).Select(named => (below.Module, Address: TensorMemory.DataPointer(named.parameter))))
        .GroupBy(held => held.Address, held => held.Module)
        .Where(holders => holders.Distinct().Count() > 1)
        .Select(holders => holders.Key)
        .ToHashSet();

    private static void RequireOwnParameters(string name, nn.Module child, HashSet<nint> shared)
    {
        foreach (var (parameterName, parameter) in child.named_parameters())
        {
            if (shared.Contains(TensorMemory.DataPointer(parameter)))
            {
                throw new TensorParallelException(
                    $"Module '{name}' cannot be replaced: other modules have its parameter '{parameterName}' too. Turn tensor parallelism off for it "
                    + "(SetTensorParallelism(module, false)).");
            }
        }
    }
}
