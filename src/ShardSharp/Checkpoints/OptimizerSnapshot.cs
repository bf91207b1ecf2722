using System.Text.Json.Nodes;

namespace ShardSharp.Checkpoints;

/// <summary>What an optimizer keeps besides tensors, of the undivided model.</summary>
/// <param name="Type">The optimizer's class.</param>
/// <param name="Groups">The options of each parameter group.</param>
/// <param name="Numbers">The numbers in the states: by their names, and then by the parameter's.</param>
internal sealed record OptimizerSnapshot(string Type, IReadOnlyList<JsonObject> Groups, Dictionary<string, Dictionary<string, double>> Numbers)
{
    /// <summary>Puts together what the ranks have; of a number that several have, that of the first is taken.</summary>
    public static OptimizerSnapshot Merge(IReadOnlyList<OptimizerSnapshot> snapshots)
    {
        var numbers = new Dictionary<string, Dictionary<string, double>>(StringComparer.Ordinal);
        foreach (var (name, values) in snapshots.SelectMany(snapshot => snapshot.Numbers))
        {
            if (!numbers.TryGetValue(name, out var merged))
                numbers[name] = merged = new Dictionary<string, double>(StringComparer.Ordinal);
            foreach (var (parameter, value) in values)
                merged.TryAdd(parameter, value);
        }

        return snapshots[0] with { Numbers = numbers };
    }
}
