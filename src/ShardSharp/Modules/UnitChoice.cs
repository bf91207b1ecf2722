using static TorchSharp.torch;

namespace ShardSharp.Modules;

/// <summary>Chooses which modules of a model are units.</summary>
/// <remarks>
/// The members of lists, such as the blocks of a transformer, are what a model computes one after another, so each is a unit; so is any
/// module beside them that holds no list. A module with more elements than a unit may have is divided into its children.
/// </remarks>
internal static class UnitChoice
{
    /// <summary>The names of the modules that are units, the model itself left out.</summary>
    /// <exception cref="ArgumentException">The user chose a module that is never called.</exception>
    public static HashSet<string> Of(nn.Module root, UnitRules rules)
    {
        if (rules.IsUnit is { } isUnit)
            return ChosenByUser(root, isUnit);
        var chosen = new HashSet<string>();
        foreach (var (name, child) in root.named_children())
            Choose(name, child, inList: ModuleTree.IsList(root));
        return chosen;

        void Choose(string name, nn.Module module, bool inList)
        {
            var elements = ModuleTree.ElementsOf(module);
            if (elements == 0)
                return;
            var whole = inList || !ModuleTree.Walk(module).Any(below => ModuleTree.IsList(below.Module));
            if (ModuleTree.IsCalled(module) && ((whole && elements <= rules.MaximumElements) || !module.children().Any()))
            {
                chosen.Add(name);
                return;
            }

            foreach (var (childName, child) in module.named_children())
                Choose(ModuleTree.NameOf(name, childName), child, ModuleTree.IsList(module));
        }
    }

    private static HashSet<string> ChosenByUser(nn.Module root, Func<string, bool> isUnit)
    {
        var chosen = ModuleTree.Walk(root).Where(below => below.Name.Length > 0 && isUnit(below.Name)).ToArray();
        foreach (var (name, module) in chosen)
        {
            if (!ModuleTree.IsCalled(module))
            {
                throw new ArgumentException(
                    $"Module '{name}' was chosen as a unit, but a {module.GetType().Name} is never called itself; choose what it holds, such as "
                    + $"'{ModuleTree.NameOf(name, module.named_children().Select(child => child.Item1).FirstOrDefault("0"))}'.");
            }
        }

        return [.. chosen.Select(below => below.Name)];
    }
}
