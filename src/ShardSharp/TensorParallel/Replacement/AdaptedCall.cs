using System.Reflection;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Replacement;

/// <summary>A call of a distributed module with the arguments of the one that it replaces.</summary>
internal sealed class AdaptedCall
{
    private readonly Func<object?[], object?[]>? _forward;
    private readonly Func<object?, object?>? _returned;
    private readonly MethodInfo _call;

    public AdaptedCall(nn.Module module, Func<object?[], object?[]>? forward, Func<object?, object?>? returned)
    {
        (Module, _forward, _returned) = (module, forward, returned);
        _call = CallableBase(module)?.GetMethod("call", BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly)
            ?? throw new TensorParallelException($"A {module.GetType().Name} is registered to replace modules, but cannot be called: derive it from Module<..>.");
    }

    public nn.Module Module { get; }

    /// <summary>The type Module&lt;..&gt; with the arguments and the result of a module; null where it cannot be called.</summary>
    public static Type? CallableBase(nn.Module module)
    {
        for (var type = module.GetType(); type is not null; type = type.BaseType)
        {
            if (type is { IsGenericType: true, Name: var name } && name.StartsWith("Module`", StringComparison.Ordinal) && type.DeclaringType == typeof(nn))
                return type;
        }

        return null;
    }

    public object? Run(params object?[] given)
    {
        var arguments = _forward?.Invoke(given) ?? given;
        var expected = _call.GetParameters().Length;
        if (arguments.Length != expected)
            throw new TensorParallelException($"A {Module.GetType().Name} takes {expected} arguments; the forward hook of its registration returned {arguments.Length}.");
        var result = _call.Invoke(Module, BindingFlags.DoNotWrapExceptions, binder: null, arguments, culture: null);
        return _returned is null ? result : _returned(result);
    }
}
