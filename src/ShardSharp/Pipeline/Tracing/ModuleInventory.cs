using System.Collections;
using System.Reflection;
using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Tracing;

/// <summary>
/// The modules of a model: those that are registered, and those that a module merely holds in a field or a list, which compute as well.
/// </summary>
internal sealed class ModuleInventory
{
    private readonly Dictionary<nn.Module, string> _names = new(ReferenceEqualityComparer.Instance);

    public ModuleInventory(nn.Module root)
    {
        var unseen = new Queue<nn.Module>();
        Add("", root);
        while (unseen.TryDequeue(out var module))
        {
            foreach (var (field, held) in HeldBy(module))
                Add(ModuleTree.NameOf(_names[module], field), held);
        }

        void Add(string name, nn.Module added)
        {
            foreach (var (below, module) in ModuleTree.Walk(added, name))
            {
                if (_names.TryAdd(module, below))
                    unseen.Enqueue(module);
            }
        }
    }

    /// <summary>All of them.</summary>
    public IEnumerable<nn.Module> Modules => _names.Keys;

    /// <summary>A module's name in the model; the name of the field for one that is not registered.</summary>
    public string NameOf(nn.Module module) => _names.TryGetValue(module, out var name) ? name : module.GetName();

    /// <summary>
    /// A module, and what it holds in fields without having registered it, which it may compute with. A reference to a module above it is none.
    /// </summary>
    public static IReadOnlyList<nn.Module> WithHeld(nn.Module part)
    {
        var found = new HashSet<nn.Module>(ModuleTree.Walk(part).Select(below => below.Module), ReferenceEqualityComparer.Instance);
        var (held, unseen) = (new List<nn.Module> { part }, new Queue<nn.Module>(found));
        while (unseen.TryDequeue(out var module))
        {
            foreach (var (_, other) in HeldBy(module))
            {
                if (found.Contains(other) || ModuleTree.Walk(other).Any(below => ReferenceEquals(below.Module, part)))
                    continue;
                held.Add(other);
                foreach (var (_, below) in ModuleTree.Walk(other))
                {
                    if (found.Add(below))
                        unseen.Enqueue(below);
                }
            }
        }

        return held;
    }

    /// <summary>The modules that a module holds in its fields, and in lists there, whether they are registered or not.</summary>
    private static IEnumerable<(string Field, nn.Module Module)> HeldBy(nn.Module module)
    {
        foreach (var (i, used) in module is IModulePart part ? part.Uses.Index() : [])
            yield return ($"{i}", used);
        for (var type = module.GetType(); type is not null && type.Assembly != typeof(nn.Module).Assembly; type = type.BaseType)
        {
            foreach (var field in type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
            {
                if (field.FieldType.IsPrimitive || field.FieldType == typeof(string))
                    continue;
                var (name, value) = (ModuleTree.PlainName(field), field.GetValue(module));
                if (value is nn.Module held)
                    yield return (name, held);
                else if (value is IList list)
                {
                    for (var i = 0; i < list.Count; i++)
                    {
                        if (list[i] is nn.Module member)
                            yield return ($"{name}.{i}", member);
                    }
                }
            }
        }
    }
}
