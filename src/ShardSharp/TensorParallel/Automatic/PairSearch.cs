using ShardSharp.Modules;
using ShardSharp.Native;
using TorchSharp.Modules;

namespace ShardSharp.TensorParallel.Automatic;

/// <summary>
/// Finds the pairs of a model: linear layers that are called with the same tensor, and the one behind them that takes what was made of their
/// outputs, as in attention and feed-forward networks.
/// </summary>
internal sealed class PairSearch(ModelTrace trace, int degree)
{
    /// <summary>Styles of the layers of pairs.</summary>
    public Dictionary<string, TensorParallelStyle> Styles { get; } = [];

    /// <summary>Why others were left alone.</summary>
    public Dictionary<string, string> Reasons { get; } = [];

    /// <summary>Looks in small modules first, so that pairs lie as closely together as they can.</summary>
    public void Run()
    {
        var adapters = ModuleTree.Walk(trace.Root.Module).Select(below => LinearAdapter.Of(below.Module)).OfType<LinearAdapter>()
            .SelectMany(adapter => (Linear[])[adapter.Down, adapter.Up]).ToHashSet<object>(ReferenceEqualityComparer.Instance);
        var linears = trace.Calls.Where(call => call.Module is Linear && !adapters.Contains(call.Module)).ToArray();
        var called = linears.ToLookup(call => call.Name);
        foreach (var call in linears)
        {
            if (called[call.Name].Count() > 1)
                Reasons[call.Name] = "it is called several times in a forward";
        }

        var shared = ModuleTree.Walk(trace.Root.Module)
            .SelectMany(below => below.Module.parameters(recurse: false).Select(parameter => (below.Name, Address: TensorMemory.DataPointer(parameter))))
            .ToLookup(each => each.Address, each => each.Name);
        foreach (var names in shared.Where(names => names.Distinct().Count() > 1))
        {
            foreach (var name in names)
                Reasons.TryAdd(name, $"its parameter is shared: {string.Join(", ", names.Distinct())}");
        }

        foreach (var parent in trace.Calls.Where(call => call.Module is not Linear).OrderByDescending(call => call.Depth))
            SearchIn(parent, [.. linears.Where(call => call.IsWithin(parent) && !Styles.ContainsKey(call.Name) && (called[call.Name].Count() == 1) && !IsShared(call))]);

        bool IsShared(TracedCall call) => Reasons.TryGetValue(call.Name, out var reason) && reason.StartsWith("its parameter is shared", StringComparison.Ordinal);
    }

    private void SearchIn(TracedCall parent, IReadOnlyList<TracedCall> linears)
    {
        var groups = new List<List<TracedCall>>();
        foreach (var call in linears)
        {
            if (groups.Count > 0 && ReferenceEquals(groups[^1][0].Given[0], call.Given[0]))
                groups[^1].Add(call);
            else
                groups.Add([call]);
        }

        for (var i = 0; i + 1 < groups.Count; i++)
        {
            if (groups[i + 1].Count == 1 && Divides(parent, groups[i], groups[i + 1][0]))
                i++;
        }
    }

    private bool Divides(TracedCall parent, List<TracedCall> columns, TracedCall row)
    {
        var inputs = ((Linear)row.Module).in_features;
        if (OwnParameters(parent, columns, row) is { } owner)
        {
            foreach (var column in columns)
                Reasons[column.Name] = $"'{owner}' has parameters of its own, which it may compute with what would be divided";
            return false;
        }

        string? reason = null;
        TracedCall[] between = [.. trace.Calls.SkipWhile(call => call != columns[0]).TakeWhile(call => call != row)
            .Where(call => call.DependsOnWhole && !columns.Contains(call))];
        foreach (var divided in Divisions(columns, inputs))
        {
            if (!divided.All(column => column.IsEven) || inputs % degree != 0)
            {
                var lengths = divided.SelectMany(column => column.Sections).Select(section => section.Length).Append(inputs).Distinct();
                reason ??= $"{degree} ranks do not divide its {string.Join(", ", lengths)} features";
                continue;
            }

            var trial = new PairTrial(parent, divided, row, between, degree);
            var failure = trial.Run() ?? (trial.CalledAlone is { } alone
                ? $"'{alone}' has parameters, and is called between them with nothing that would be divided: its gradient could be a part on each rank" : null);
            reason ??= failure;
            if (failure is not null)
                continue;
            foreach (var name in trial.CalledWithPart)
            {
                Styles[name] = TensorParallelStyle.SharedParameters();
                Reasons.Remove(name);
            }

            foreach (var (column, own) in columns.Zip(divided))
            {
                Styles[column.Name] = own.Style(degree);
                Reasons.Remove(column.Name);
            }

            Styles[row.Name] = TensorParallelStyle.Row(inputs / degree);
            Reasons.Remove(row.Name);
            return true;
        }

        if (reason is not null)
        {
            foreach (var column in columns)
                Reasons[column.Name] = reason;
        }

        return false;
    }

    /// <summary>A module around the layers, up to where they are looked for, that has parameters which no call tells of; null for none.</summary>
    private static string? OwnParameters(TracedCall parent, List<TracedCall> columns, TracedCall row)
    {
        foreach (var layer in columns.Append(row))
        {
            for (var around = layer.Parent; around is not null; around = around == parent ? null : around.Parent)
            {
                if (around.Module.named_parameters(recurse: false).Any())
                    return around.Name;
            }
        }

        return null;
    }

    /// <summary>
    /// How the outputs may be divided: several layers each as one; of one layer also several things side by side. What is smaller than the others may be
    /// fewer heads than ranks, of which several ranks hold each.
    /// </summary>
    private IEnumerable<IReadOnlyList<ColumnSections>> Divisions(List<TracedCall> columns, long inputs)
    {
        var layers = columns.Select(column => (Linear)column.Module).ToArray();
        var outputs = layers[0].out_features;
        if (columns.Count > 1)
        {
            if (outputs == inputs)
            {
                foreach (var parts in Parts(layers.Any(layer => layer.out_features < inputs)))
                    yield return [.. layers.Select(layer => Sections(layer, parts, layer.out_features))];
            }

            yield break;
        }

        if (outputs == 3 * inputs)
            yield return [Sections(layers[0], degree, inputs, inputs, inputs)];
        if (outputs == 2 * inputs)
            yield return [Sections(layers[0], degree, inputs, inputs)];
        if (outputs > inputs && outputs < 3 * inputs && (outputs - inputs) % 2 == 0)
        {
            foreach (var parts in Parts(isSmaller: true))
                yield return [Sections(layers[0], parts, inputs, (outputs - inputs) / 2, (outputs - inputs) / 2)];
        }

        if (outputs % inputs == 0)
            yield return [Sections(layers[0], degree, outputs)];

        ColumnSections Sections(Linear layer, int parts, params long[] lengths) =>
            new(layer, [.. lengths.Select(length => (length, length < inputs ? parts : degree))]);

        IEnumerable<int> Parts(bool isSmaller) => isSmaller ? Enumerable.Range(1, degree).Where(parts => degree % parts == 0).Reverse() : [degree];
    }
}
