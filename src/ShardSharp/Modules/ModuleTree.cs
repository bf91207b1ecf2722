using System.Reflection;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Modules;

/// <summary>What can be told of a module by its type.</summary>
internal static class ModuleTree
{
    /// <summary>The module and all below it with their names, parents first; one that is a child of several comes once for each.</summary>
    public static IEnumerable<(string Name, nn.Module Module)> Walk(nn.Module root, string name = "")
    {
        yield return (name, root);
        foreach (var (childName, child) in root.named_children())
        {
            foreach (var below in Walk(child, NameOf(name, childName)))
                yield return below;
        }
    }

    /// <summary>Parameters and buffers of a module and all below it.</summary>
    public static IEnumerable<Tensor> TensorsOf(nn.Module root) => root.parameters().Cast<Tensor>().Concat(root.buffers());

    /// <summary>Name of a child or parameter in the model.</summary>
    public static string NameOf(string parent, string child) => parent.Length == 0 ? child : $"{parent}.{child}";

    /// <summary>Whether a module is a list of others: what it holds are the layers of a model.</summary>
    public static bool IsList(nn.Module module) =>
        module is Sequential || IsA(module, typeof(ModuleList<>)) || IsA(module, typeof(ModuleDict<>))
        || (module is PartialModule part && IsList(part.Of));

    /// <summary>Whether a module is called, rather than only holding others, so that hooks can be put on it.</summary>
    public static bool IsCalled(nn.Module module) => IsA(module, typeof(nn.HookableModule<,>));

    /// <summary>Elements of all parameters of a module.</summary>
    public static long ElementsOf(nn.Module module) => module.parameters().Sum(parameter => parameter.numel());

    /// <summary>The name that the author gave a field, without what the compiler puts around that of a property.</summary>
    public static string PlainName(FieldInfo field) =>
        field.Name.StartsWith('<') ? field.Name[1..field.Name.IndexOf('>', StringComparison.Ordinal)] : field.Name;

    private static bool IsA(nn.Module module, Type definition)
    {
        for (var type = module.GetType(); type is not null; type = type.BaseType)
        {
            if (type.IsGenericType && type.GetGenericTypeDefinition() == definition)
                return true;
        }

        return false;
    }
}
