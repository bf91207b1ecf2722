using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Tracing;

/// <summary>Makes a chain of a traced forward: every call that is nothing but calls is replaced by these.</summary>
internal sealed class ChainBuilder
{
    private readonly List<ChainStep> _steps = [];
    private readonly List<ChainBreak> _breaks = [];
    private readonly ModuleInventory _inventory;

    private ChainBuilder(ModuleInventory inventory) => _inventory = inventory;

    /// <summary>The chain, and where it could not be cut.</summary>
    public static (ModelChain Chain, IReadOnlyList<ChainBreak> Breaks) Build(TracedCall root, ModuleInventory inventory)
    {
        var builder = new ChainBuilder(inventory);
        builder.Expand(root);
        var groups = new List<List<ChainStep>>();
        foreach (var step in builder._steps)
        {
            // Who writes to what the part before returned works on the memory of that part, so they stay together.
            if (step.Call.ChangesInputs && groups.Count > 0)
                groups[^1].Add(step);
            else
                groups.Add([step]);
        }

        var parts = Parts(groups, root.Outputs);
        return (new ModelChain(builder.WithTheRest(parts)) { Takes = root.Takes, Output = tensors => OutputOf(root, tensors) }, builder._breaks);
    }

    private static object? OutputOf(TracedCall root, IReadOnlyList<Tensor> tensors) => root.Returns!.Beside is null
        ? root.Returns.Build(tensors)
        : throw new NotSupportedException(
            $"The model returns {root.Returns.Beside} beside tensors, which may differ from batch to batch: a pipeline passes tensors alone. Put it into a tensor.");

    private void Expand(TracedCall call)
    {
        if (call.Calls.Count > 0 && Composition.OpeningOf(call) is { } opening)
        {
            if (opening > 0)
                AddOpening(call, opening);
            foreach (var child in call.Calls.Skip(opening))
                Expand(child);
            return;
        }

        if (call.Calls.Count > 0)
            _breaks.Add(new ChainBreak(call.Title, [.. Composition.Breaks(call)]));
        _steps.Add(new CallStep { Name = call.Name, Call = call, Modules = ModuleInventory.WithHeld(call.Module) });
    }

    private void AddOpening(TracedCall call, int opening)
    {
        var after = call.Calls.Skip(opening).Select(later => later.Module).ToHashSet<nn.Module>(ReferenceEqualityComparer.Instance);
        var called = call.Calls.Take(opening).Select(earlier => earlier.Module).Where(module => !after.Contains(module));
        _steps.Add(new OpeningStep(call, opening)
        {
            Name = ModuleTree.NameOf(call.Name, "start"),
            Call = call,
            Modules = [.. called.SelectMany(ModuleInventory.WithHeld).Distinct<nn.Module>(ReferenceEqualityComparer.Instance)],
        });
    }

    private static ChainPart[] Parts(List<List<ChainStep>> groups, IReadOnlyList<TracedValue> results)
    {
        // From the end: what a part must hand on is what those after it read and it does not get everywhere.
        var needed = new List<TracedValue>(results);
        var parts = new ChainPart[groups.Count];
        for (var i = groups.Count - 1; i >= 0; i--)
        {
            var outputs = needed;
            var made = groups[i].SelectMany(step => step.Outputs).ToHashSet();
            var inputs = outputs.Where(value => !made.Contains(value)).Concat(groups[i].SelectMany(step => step.Inputs).Where(value => !made.Contains(value)))
                .Where(value => !value.IsEverywhere).Distinct().ToList();
            parts[i] = Part(groups[i], inputs, outputs);
            needed = inputs;
        }

        return parts;
    }

    private static ChainPart Part(List<ChainStep> steps, List<TracedValue> inputs, List<TracedValue> outputs)
    {
        var run = new PartRun(steps, inputs, outputs);
        return new ChainPart(
            steps[0].Name, [.. steps.SelectMany(step => step.Modules).Distinct<nn.Module>(ReferenceEqualityComparer.Instance)], run.Run)
        {
            Holders =
            [
                .. steps.SelectMany(step => step.Inputs).Concat(outputs).Where(value => value.Own is not null).Select(value => value.Own!.Value.Holder)
                    .Distinct<nn.Module>(ReferenceEqualityComparer.Instance),
            ],
        };
    }

    /// <summary>Gives the parameters that no part calls for to the first part of the module around them: it may use them without a call.</summary>
    private ChainPart[] WithTheRest(ChainPart[] parts)
    {
        var used = parts.SelectMany(part => part.Parameters.Concat(part.Buffers)).ToHashSet<Tensor>(ReferenceEqualityComparer.Instance);
        foreach (var module in _inventory.Modules)
        {
            if (module.parameters(recurse: false).Concat(module.buffers(recurse: false)).All(used.Contains))
                continue;
            var around = _inventory.NameOf(module);
            int first;
            while ((first = Array.FindIndex(parts, part => IsWithin(part.Name, around))) < 0)
                around = around[..Math.Max(0, around.LastIndexOf('.'))];
            parts[first] = parts[first] with { Holders = [.. parts[first].Holders, module] };
        }

        return parts;
    }

    private static bool IsWithin(string part, string around) =>
        around.Length == 0 || part == around || part.StartsWith($"{around}.", StringComparison.Ordinal);
}
