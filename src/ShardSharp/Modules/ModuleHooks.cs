using System.Collections.Concurrent;
using System.Linq.Expressions;
using System.Reflection;
using static TorchSharp.torch;

namespace ShardSharp.Modules;

/// <summary>Hooks on the calls of a module of any signature. TorchSharp has a type of hook for each.</summary>
internal sealed class ModuleHooks : IDisposable
{
    // Compiling takes milliseconds, and a model has few signatures.
    private static readonly ConcurrentDictionary<Type, Func<Func<object?[], object?[]>, Delegate>> BeforeOf = new();
    private static readonly ConcurrentDictionary<Type, Func<Func<object?, object?>, Delegate>> AfterOf = new();

    private readonly object[] _removers;

    /// <param name="module">One that <see cref="ModuleTree.IsCalled"/>.</param>
    /// <param name="before">Given what the module is called with; returns what to call it with.</param>
    /// <param name="after">Given what the module returned; returns what to return.</param>
    public ModuleHooks(nn.Module module, Func<object?[], object?[]> before, Func<object?, object?> after)
    {
        var type = module.GetType();
        while (!type.IsGenericType || type.GetGenericTypeDefinition() != typeof(nn.HookableModule<,>))
            type = type.BaseType!;
        var kinds = type.GetGenericArguments();
        _removers =
        [
            Register(nameof(nn.Module<,>.register_forward_pre_hook), kinds[0], BeforeOf.GetOrAdd(kinds[0], Before)(before)),
            Register(nameof(nn.Module<,>.register_forward_hook), kinds[1], AfterOf.GetOrAdd(kinds[1], After)(after)),
        ];

        object Register(string method, Type kind, Delegate hook) => type.GetMethod(method, [kind])!.Invoke(module, [hook])!;
    }

    public void Dispose()
    {
        foreach (var remover in _removers)
            remover.GetType().GetMethod("remove")!.Invoke(remover, BindingFlags.Default, binder: null, [], culture: null);
    }

    /// <summary>A function of the module and its arguments that returns the argument, or all as a nullable tuple.</summary>
    private static Func<Func<object?[], object?[]>, Delegate> Before(Type kind)
    {
        var before = Expression.Parameter(typeof(Func<object?[], object?[]>));
        var (parameters, result) = Signature(kind);
        var given = Expression.NewArrayInit(typeof(object), parameters.Skip(1).Select(Boxed));
        var changed = Expression.Variable(typeof(object[]));
        var items = parameters.Skip(1).Select((parameter, i) => Expression.Convert(Expression.ArrayIndex(changed, Expression.Constant(i)), parameter.Type)).ToArray();
        var returned = items.Length == 1
            ? (Expression)items[0]
            : Expression.Convert(Expression.New(Nullable.GetUnderlyingType(result)!.GetConstructor([.. items.Select(item => item.Type)])!, items), result);
        var body = Expression.Block(
            [changed], Expression.Assign(changed, Expression.Invoke(before, given)), returned);
        return Expression.Lambda<Func<Func<object?[], object?[]>, Delegate>>(Expression.Lambda(kind, body, parameters), before).Compile();
    }

    /// <summary>A function of the module, its arguments and its result that returns the result.</summary>
    private static Func<Func<object?, object?>, Delegate> After(Type kind)
    {
        var after = Expression.Parameter(typeof(Func<object?, object?>));
        var (parameters, result) = Signature(kind);
        var body = Expression.Convert(Expression.Invoke(after, Boxed(parameters[^1])), result);
        return Expression.Lambda<Func<Func<object?, object?>, Delegate>>(Expression.Lambda(kind, body, parameters), after).Compile();
    }

    private static (ParameterExpression[] Parameters, Type Result) Signature(Type kind)
    {
        var invoke = kind.GetMethod("Invoke")!;
        return ([.. invoke.GetParameters().Select(parameter => Expression.Parameter(parameter.ParameterType))], invoke.ReturnType);
    }

    private static UnaryExpression Boxed(Expression value) => Expression.Convert(value, typeof(object));
}
