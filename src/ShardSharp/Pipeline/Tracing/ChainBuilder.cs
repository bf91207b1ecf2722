using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Tracing;

/// <summary>Makes a chain of a traced forward: every call that is nothing but calls is replaced by these.</summary>
internal sealed class ChainBuilder
{
    private readonly List<ChainStep> _steps = [];
    private readonly List<ChainBreak> _breaks = [];
    private readonly List<(TracedCall Call, int First, int End)> _composites = [];
    private readonly ModuleInventory _inventory;
    private readonly IReadOnlySet<nn.Module>? _whole;

    private ChainBuilder(ModuleInventory inventory, IReadOnlySet<nn.Module>? whole) => (_inventory, _whole) = (inventory, whole);

    /// <summary>The chain, and where it could not be cut.</summary>
    /// <param name="root">The model's call.</param>
    /// <param name="inventory">Its modules.</param>
    /// <param name="whole">Modules that are not taken apart.</param>
    public static (ModelChain Chain, IReadOnlyList<ChainBreak> Breaks) Build(
        TracedCall root, ModuleInventory inventory, IReadOnlySet<nn.Module>? whole = null)
    {
        var builder = new ChainBuilder(inventory, whole);
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

        var passed = Passed(groups, root.Outputs);
        var parts = builder.WithTheRest([.. groups.Index().Select(group => Part(group.Item, passed[group.Index], passed[group.Index + 1]))]);
        var chain = new ModelChain(parts)
        {
            Composites = [.. builder.Composites(root, groups, passed, parts)],
            Takes = root.Takes,
            Output = tensors => OutputOf(root, tensors),
        };
        return (chain, builder._breaks);
    }

    private static object? OutputOf(TracedCall root, IReadOnlyList<Tensor> tensors) => root.Returns!.Beside is null
        ? root.Returns.Build(tensors)
        : throw new NotSupportedException(
            $"The model returns {root.Returns.Beside} beside tensors, which may differ from batch to batch: a pipeline passes tensors alone. Put it into a tensor.");

    private void Expand(TracedCall call)
    {
        var isWhole = _whole?.Contains(call.Module) is true;
        if (!isWhole && call.Calls.Count > 0 && Composition.OpeningOf(call) is { } opening)
        {
            var first = _steps.Count;
            if (opening > 0)
                AddOpening(call, opening);
            foreach (var child in call.Calls.Skip(opening))
                Expand(child);
            _composites.Add((call, first, _steps.Count));
            return;
        }

        if (call.Calls.Count > 0)
            _breaks.Add(new ChainBreak(call.Title, isWhole ? ["it is checkpointed (activation_checkpointing)"] : [.. Composition.Breaks(call)]));
        _steps.Add(StepOf(call));
    }

    private static CallStep StepOf(TracedCall call) => new() { Name = call.Name, Call = call, Modules = ModuleInventory.WithHeld(call.Module) };

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

    /// <summary>What passes before each group, and last the results: what those after it read and do not get everywhere.</summary>
    private static IReadOnlyList<TracedValue>[] Passed(List<List<ChainStep>> groups, IReadOnlyList<TracedValue> results)
    {
        var passed = new IReadOnlyList<TracedValue>[groups.Count + 1];
        passed[^1] = [.. results];
        for (var i = groups.Count - 1; i >= 0; i--)
        {
            var made = groups[i].SelectMany(step => step.Outputs).ToHashSet();
            passed[i] =
            [
                .. passed[i + 1].Concat(groups[i].SelectMany(step => step.Inputs)).Where(value => !made.Contains(value) && !value.IsEverywhere).Distinct(),
            ];
        }

        return passed;
    }

    /// <summary>The modules that were taken apart and can be called in place of their parts.</summary>
    private IEnumerable<CompositePart> Composites(
        TracedCall root, List<List<ChainStep>> groups, IReadOnlyList<TracedValue>[] passed, IReadOnlyList<ChainPart> parts)
    {
        // The number of steps before each group, and of all.
        var starts = new int[groups.Count + 1];
        for (var i = 0; i < groups.Count; i++)
            starts[i + 1] = starts[i] + groups[i].Count;
        foreach (var (call, firstStep, endStep) in _composites.Where(composite => !ReferenceEquals(composite.Call, root)))
        {
            var (first, end) = (Array.IndexOf(starts, firstStep), Array.IndexOf(starts, endStep));
            if (first < 0 || end < 0)
                continue;
            var known = passed[first].ToHashSet();
            var isComplete = call.Inputs.All(value => value.IsEverywhere || known.Contains(value));
            known.UnionWith(call.Outputs);
            if (!isComplete || !passed[end].All(value => value.IsEverywhere || known.Contains(value)))
                continue;
            var part = Part([StepOf(call)], passed[first], passed[end]);
            yield return new CompositePart(
                first, end - first, part with { Holders = [.. part.Holders, .. parts.Skip(first).Take(end - first).SelectMany(inner => inner.Holders)] });
        }
    }

    private static ChainPart Part(List<ChainStep> steps, IReadOnlyList<TracedValue> inputs, IReadOnlyList<TracedValue> outputs)
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
