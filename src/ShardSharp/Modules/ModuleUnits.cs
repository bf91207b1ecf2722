using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Modules;

/// <summary>Divides the parameters of a model into units.</summary>
internal static class ModuleUnits
{
    /// <summary>
    /// The units, in the order of their first parameters. A parameter belongs to the innermost unit that contains all modules that hold it;
    /// one that several units hold, as tied weights, belongs to the model itself.
    /// </summary>
    /// <remarks>
    /// Within a module, parameters of different types, persistent ones, and ones that are frozen now have units of their own: those are kept
    /// gathered or are not reduced, and the others should not pay for them.
    /// </remarks>
    /// <exception cref="ArgumentException">The user chose a module that is never called.</exception>
    public static IReadOnlyList<ParameterUnit> Divide(nn.Module root, UnitRules rules)
    {
        var owners = Owners(root, UnitChoice.Of(root, rules));
        var modules = new Dictionary<string, nn.Module>();
        foreach (var (name, module) in ModuleTree.Walk(root))
            modules[name] = module;
        return
        [
            .. root.named_parameters()
                .GroupBy(named => (
                    Owner: owners[named.parameter],
                    named.parameter.dtype,
                    Persistent: named.parameter.numel() < rules.PersistenceThreshold,
                    named.parameter.requires_grad))
                .Select(unit => new ParameterUnit(unit.Key.Owner, modules[unit.Key.Owner], [.. unit], unit.Key.Persistent)),
        ];
    }

    /// <summary>The name of the module that each parameter is a unit of.</summary>
    private static Dictionary<Parameter, string> Owners(nn.Module root, HashSet<string> chosen)
    {
        var chains = new Dictionary<Parameter, List<string>>(ReferenceEqualityComparer.Instance);
        Visit("", root, [""]);
        return chains.ToDictionary(pair => pair.Key, pair => pair.Value[^1], chains.Comparer);

        void Visit(string name, nn.Module module, List<string> chain)
        {
            foreach (var (_, parameter) in module.named_parameters(recurse: false))
                chains[parameter] = chains.TryGetValue(parameter, out var other) ? CommonStart(other, chain) : chain;
            foreach (var (childName, child) in module.named_children())
            {
                var below = ModuleTree.NameOf(name, childName);
                Visit(below, child, chosen.Contains(below) ? [.. chain, below] : chain);
            }
        }
    }

    private static List<string> CommonStart(List<string> first, List<string> second) =>
        [.. first.Zip(second).TakeWhile(pair => pair.First == pair.Second).Select(pair => pair.First)];
}
