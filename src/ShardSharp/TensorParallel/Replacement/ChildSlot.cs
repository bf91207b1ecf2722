using System.Collections;
using System.Reflection;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Replacement;

/// <summary>
/// Where a module holds a child: a field of its own or the list inside of a container, besides the register of children that TorchSharp keeps.
/// </summary>
internal static class ChildSlot
{
    private const BindingFlags Instance = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;

    /// <summary>Puts a module in the place of a child.</summary>
    /// <param name="parent">The module that holds it.</param>
    /// <param name="parentName">Name of that module in the model, for errors; empty for the model itself.</param>
    /// <param name="childName">Name of the child in it.</param>
    /// <param name="child">The child.</param>
    /// <param name="replacement">What takes its place.</param>
    /// <exception cref="TensorParallelException">What holds the child cannot hold the other module.</exception>
    public static void Replace(nn.Module parent, string parentName, string childName, nn.Module child, nn.Module replacement)
    {
        string[] names = [.. parent.named_children().Where(named => ReferenceEquals(named.Item2, child)).Select(named => named.Item1)];
        if (!ReplaceInContainer(parent, parentName, childName, child, replacement))
            ReplaceInFields(parent, parentName, childName, child, replacement);
        var register = Register(parent);
        foreach (var name in names.Where(register.ContainsKey))
            register[name] = replacement;
    }

    private static void ReplaceInFields(nn.Module parent, string parentName, string childName, nn.Module child, nn.Module replacement)
    {
        var fields = Types(parent).SelectMany(type => type.GetFields(Instance)).Where(field => ReferenceEquals(field.GetValue(parent), child)).ToArray();
        if (fields.Length == 0)
        {
            throw new TensorParallelException(
                $"{Described(parent, parentName)} holds its child '{childName}', a {child.GetType().Name}, in no field and no list of modules, so that it cannot "
                + "be replaced. Keep it in a field or a ModuleList, or create the distributed module yourself.");
        }

        foreach (var field in fields)
        {
            RequireFits(field.FieldType, $"field '{field.Name}' of {Described(parent, parentName)}", childName, child, replacement);
            field.SetValue(parent, replacement);
        }
    }

    /// <summary>TorchSharp's containers hold children in lists of their own.</summary>
    private static bool ReplaceInContainer(nn.Module parent, string parentName, string childName, nn.Module child, nn.Module replacement)
    {
        var found = false;
        foreach (var type in Types(parent).Where(IsContainer))
        {
            foreach (var list in type.GetFields(Instance).Select(field => field.GetValue(parent)).OfType<IList>())
            {
                for (var i = 0; i < list.Count; i++)
                {
                    if (!ReferenceEquals(list[i], child))
                        continue;
                    RequireFits(list.GetType().GetGenericArguments()[0], Described(parent, parentName), childName, child, replacement);
                    list[i] = replacement;
                    found = true;
                }
            }
        }

        return found;
    }

    private static bool IsContainer(Type type) =>
        type == typeof(Sequential) || (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(ModuleList<>));

    private static void RequireFits(Type held, string holder, string childName, nn.Module child, nn.Module replacement)
    {
        if (held.IsInstanceOfType(replacement))
            return;
        var signature = AdaptedCall.CallableBase(child);
        var wanted = signature is not null && signature.IsInstanceOfType(replacement)
            ? $"Module<{string.Join(", ", signature.GetGenericArguments().Select(argument => argument.Name))}>"
            : "Module, and call it with the other's arguments, or register it with hooks";
        throw new TensorParallelException(
            $"Child '{childName}' cannot be replaced by a {replacement.GetType().Name}: {holder} is of type {held.Name}. Declare it as {wanted}, or turn "
            + "tensor parallelism off for this child.");
    }

    private static string Described(nn.Module parent, string name) => name.Length == 0 ? parent.GetType().Name : $"'{name}', a {parent.GetType().Name},";

    private static IEnumerable<Type> Types(nn.Module module)
    {
        for (var type = module.GetType(); type is not null && type != typeof(nn.Module); type = type.BaseType)
            yield return type;
    }

    /// <summary>TorchSharp's register of a module's children, by name, for which it has no method that replaces one.</summary>
    private static IDictionary<string, nn.Module> Register(nn.Module module) =>
        (IDictionary<string, nn.Module>)typeof(nn.Module).GetField("_internal_submodules", BindingFlags.Instance | BindingFlags.NonPublic)!.GetValue(module)!;
}
