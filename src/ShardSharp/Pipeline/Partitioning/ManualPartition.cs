using ShardSharp.Modules;
using ShardSharp.Pipeline.Tracing;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Partitioning;

/// <summary>A partition that the program and the configuration decide on.</summary>
/// <param name="Assigned">The stages of modules, by the program. One below another goes before it.</param>
/// <param name="Patterns">The stages of modules by their names, which go before those that the program assigned; the first that fits counts.</param>
/// <param name="Default">The stage of everything else; a part without parameters stays with the one before.</param>
internal sealed record ManualPartition(IReadOnlyDictionary<nn.Module, int> Assigned, PartitionPatterns Patterns, int Default)
{
    /// <summary>The stage of each part.</summary>
    /// <exception cref="ArgumentException">Stages would not follow one another, or one would be empty; the message says what to change.</exception>
    public IReadOnlyList<int> StagesOf(ModelChain chain, nn.Module model, int stages)
    {
        var inventory = new ModuleInventory(model);
        var named = Assigned.GroupBy(pair => inventory.NameOf(pair.Key), StringComparer.Ordinal).ToDictionary(group => group.Key, group => group.First().Value, StringComparer.Ordinal);
        Patterns.RequireUsed([.. chain.Parts.Select(part => part.Name)]);
        var found = new List<(string Name, int Stage, string Reason)>();
        foreach (var part in chain.Parts)
        {
            var (stage, reason) = StageOf(part, named) ?? (found.Count > 0 && !part.Parameters.Any()
                ? (found[^1].Stage, "it has no parameters and stays with the part before")
                : (Default, $"default_partition is {Default}"));
            if (stage < 0 || stage >= stages)
                throw new ArgumentException($"'{part.Name}' is put on stage {stage} ({reason}); there are stages 0 to {stages - 1}.");
            if (found.Count > 0 && stage < found[^1].Stage)
            {
                var before = found[^1];
                throw new ArgumentException(
                    $"'{part.Name}' is put on stage {stage} ({reason}), but it runs after '{before.Name}', which is put on stage {before.Stage} ({before.Reason}). "
                    + $"Put '{part.Name}' on stage {before.Stage} or a later one, or '{before.Name}' on stage {stage}.");
            }

            found.Add((part.Name, stage, reason));
        }

        var empty = Enumerable.Range(0, stages).FirstOrDefault(stage => found.All(part => part.Stage != stage), -1);
        return empty < 0 ? [.. found.Select(part => part.Stage)] : throw new ArgumentException(
            $"Nothing is put on stage {empty} of {stages}. Put one of these there, in order: {string.Join(", ", found.Select(part => $"'{part.Name}' ({part.Stage})"))}.");
    }

    private (int Stage, string Reason)? StageOf(ChainPart part, Dictionary<string, int> named)
    {
        if (Patterns.Find(part.Name) is { } pattern)
            return (pattern.Stage, $"by the pattern '{pattern.Text}'");
        var within = part.Modules.SelectMany(module => ModuleTree.Walk(module)).Select(below => below.Module)
            .Where(Assigned.ContainsKey).Distinct<nn.Module>(ReferenceEqualityComparer.Instance).ToArray();
        var different = within.FirstOrDefault(module => Assigned[module] != Assigned[within[0]]);
        if (different is not null)
        {
            throw new ArgumentException(
                $"'{part.Name}' cannot be cut, but modules in it are put on stages {Assigned[within[0]]} ({within[0].GetName()}) and {Assigned[different]} "
                + $"({different.GetName()}). Put them on the same stage.");
        }

        if (within.Length > 0)
            return (Assigned[within[0]], $"by the program, for {within[0].GetName()}");
        for (var name = part.Name; ; name = name[..Math.Max(0, name.LastIndexOf('.'))])
        {
            if (named.TryGetValue(name, out var stage))
                return (stage, name.Length == 0 ? "by the program, for the model" : $"by the program, for '{name}'");
            if (name.Length == 0)
                return null;
        }
    }
}
