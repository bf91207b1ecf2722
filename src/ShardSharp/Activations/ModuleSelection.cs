using ShardSharp.Modules;
using ShardSharp.Topology;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>Which modules of a model are meant by a name pattern, and which of them run one after another.</summary>
internal static class ModuleSelection
{
    /// <summary>The name of all layers: the members of lists, such as the blocks of a transformer.</summary>
    public const string Layers = "layers";

    /// <summary>The modules that a pattern names, as runs: members of a list that follow one another, each other module alone.</summary>
    /// <param name="root">The model.</param>
    /// <param name="pattern">Names or patterns for names (<see cref="NamePattern"/>), separated by commas; or <see cref="Layers"/>.</param>
    /// <exception cref="ArgumentException">A name fits no module, or one that is never called.</exception>
    public static IReadOnlyList<IReadOnlyList<(string Name, nn.Module Module)>> Runs(nn.Module root, string pattern)
    {
        var wanted = new HashSet<string>();
        foreach (var part in pattern.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            wanted.UnionWith(part == Layers ? LayersOf(root) : Named(root, part));
        var runs = new List<IReadOnlyList<(string, nn.Module)>>();
        Visit("", root);
        return runs;

        void Visit(string name, nn.Module module)
        {
            var run = new List<(string, nn.Module)>();
            foreach (var (childName, child) in module.named_children())
            {
                var below = ModuleTree.NameOf(name, childName);
                if (wanted.Contains(below) && ModuleTree.IsList(module))
                    run.Add((below, child));
                else if (wanted.Contains(below))
                    runs.Add([(below, child)]);
                if (!wanted.Contains(below) && run.Count > 0)
                    EndRun();
            }

            EndRun();
            foreach (var (childName, child) in module.named_children())
                Visit(ModuleTree.NameOf(name, childName), child);

            void EndRun()
            {
                if (run.Count > 0)
                    runs.Add([.. run]);
                run.Clear();
            }
        }
    }

    /// <summary>The linear layers of a model, or those that a pattern names.</summary>
    /// <exception cref="ArgumentException">There are none, or a name fits another module.</exception>
    public static HashSet<Linear> Linears(nn.Module root, string? pattern)
    {
        var all = ModuleTree.Walk(root).Where(below => below.Module is Linear).ToDictionary(below => below.Name, below => (Linear)below.Module);
        if (pattern is null)
        {
            return all.Count > 0 ? [.. all.Values] : throw new ArgumentException(
                $"{root.GetType().Name} has no nn.Linear, and strategy selective keeps what those return. Use strategy each.");
        }

        var named = pattern.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).SelectMany(part => Named(root, part));
        return
        [
            .. named.Select(name => all.GetValueOrDefault(name) ?? throw new ArgumentException(
                $"'{name}' is no nn.Linear, and strategy selective keeps what those return. They are: {string.Join(", ", all.Keys.Take(12))}.")),
        ];
    }

    /// <summary>The name of a module in a model.</summary>
    /// <exception cref="ArgumentException">It is not one of the model's.</exception>
    public static string NameOf(nn.Module root, nn.Module module)
    {
        foreach (var (name, below) in ModuleTree.Walk(root))
        {
            if (ReferenceEquals(below, module))
                return name;
        }

        throw new ArgumentException(
            $"The {module.GetType().Name} is no module of this model; pass one that the model's own modules hold.", nameof(module));
    }

    private static List<string> LayersOf(nn.Module root)
    {
        var layers = new List<string>();
        Visit("", root);
        return layers.Count > 0 ? layers : throw new ArgumentException(
            $"{root.GetType().Name} has no list of layers (ModuleList, Sequential) for activation checkpointing; name its modules instead. They are: "
            + $"{string.Join(", ", ModuleTree.Walk(root).Select(below => below.Name).Where(name => name.Length > 0).Take(12))}.");

        void Visit(string name, nn.Module module)
        {
            foreach (var (childName, child) in module.named_children())
            {
                var below = ModuleTree.NameOf(name, childName);
                if (ModuleTree.IsList(module) && ModuleTree.IsCalled(child))
                    layers.Add(below);
                else
                    Visit(below, child);
            }
        }
    }

    private static IEnumerable<string> Named(nn.Module root, string pattern)
    {
        var names = new NamePattern(pattern);
        var found = ModuleTree.Walk(root).Where(below => names.Fits(below.Name)).ToArray();
        if (found.Length == 0)
        {
            throw new ArgumentException(
                $"No module is called '{pattern}', which activation checkpointing was given. Names are such as "
                + $"{string.Join(", ", ModuleTree.Walk(root).Select(below => below.Name).Where(name => name.Length > 0).Take(12))}; * stands for any "
                + "characters but a dot, ** for any.");
        }

        foreach (var (name, module) in found)
        {
            if (!ModuleTree.IsCalled(module))
            {
                throw new ArgumentException(
                    $"'{name}' is a {module.GetType().Name}, which is never called itself; name what it holds: '{ModuleTree.NameOf(name, "*")}'.");
            }
        }

        return found.Select(below => below.Name);
    }
}
