using System.Reflection;
using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Tracing;

/// <summary>Calls a module of any signature.</summary>
internal sealed class ModuleCall
{
    private readonly nn.Module _module;
    private readonly MethodInfo _call;

    /// <param name="module">One that <see cref="ModuleTree.IsCalled"/>.</param>
    public ModuleCall(nn.Module module)
    {
        _module = module;
        var kinds = module.GetType();
        while (!(kinds.IsGenericType && kinds.BaseType is { IsGenericType: true } hookable
            && hookable.GetGenericTypeDefinition() == typeof(nn.HookableModule<,>)))
            kinds = kinds.BaseType!;
        var types = kinds.GetGenericArguments();
        (Takes, Returns) = (types[..^1], types[^1]);
        _call = kinds.GetMethod("call", types[..^1])!;
    }

    /// <summary>The types of its arguments.</summary>
    public IReadOnlyList<Type> Takes { get; }

    /// <summary>The type of what it returns.</summary>
    public Type Returns { get; }

    /// <summary>Calls it, hooks included.</summary>
    public object? Invoke(object?[] arguments) =>
        _call.Invoke(_module, BindingFlags.DoNotWrapExceptions, binder: null, arguments, culture: null);
}
