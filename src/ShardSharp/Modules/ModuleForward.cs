using System.Linq.Expressions;
using static TorchSharp.torch;

namespace ShardSharp.Modules;

/// <summary>The forward of a module of any signature, as a function of its arguments.</summary>
internal static class ModuleForward
{
    /// <summary>What the module computes, without the hooks on it.</summary>
    /// <param name="module">One that <see cref="ModuleTree.IsCalled"/>.</param>
    public static Func<object?[], object?> Of(nn.Module module) => Compile(module, "forward");

    /// <summary>What the module computes, with the hooks on it.</summary>
    /// <inheritdoc cref="Of"/>
    public static Func<object?[], object?> CallOf(nn.Module module) => Compile(module, "call");

    private static Func<object?[], object?> Compile(nn.Module module, string name)
    {
        // The generic base class that declares the function: nn.Module<T, TResult> and its like for more arguments.
        var type = module.GetType();
        while (type.BaseType is not { IsGenericType: true } parent || parent.GetGenericTypeDefinition() != typeof(nn.HookableModule<,>))
            type = type.BaseType!;
        var method = type.GetMethod(name, type.GetGenericArguments()[..^1])!;
        var given = Expression.Parameter(typeof(object[]));
        var arguments = method.GetParameters()
            .Select((parameter, i) => Expression.Convert(Expression.ArrayIndex(given, Expression.Constant(i)), parameter.ParameterType));
        var call = Expression.Call(Expression.Constant(module, type), method, arguments);
        return Expression.Lambda<Func<object?[], object?>>(Expression.Convert(call, typeof(object)), given).Compile();
    }
}
