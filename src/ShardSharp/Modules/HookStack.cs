using System.Collections;
using System.Collections.Concurrent;
using System.Linq.Expressions;
using System.Reflection;
using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace ShardSharp.Modules;

/// <summary>
/// The hooks of this library on one module. They nest: what begins first before the module's forward ends last after it, so that each sees the
/// module together with the hooks inside its own.
/// </summary>
internal sealed class HookStack
{
    // Compiling takes milliseconds, and a model has few signatures.
    private static readonly ConcurrentDictionary<Type, Func<Func<object?[], object?[]>, Delegate>> BeforeOf = new();
    private static readonly ConcurrentDictionary<Type, Func<Func<object?, object?>, Delegate>> AfterOf = new();

    private static readonly ConditionalWeakTable<nn.Module, HookStack> Stacks = [];

    private readonly nn.Module _module;
    private readonly Type _type;
    private ModuleHooks[] _hooks = [];
    private object[] _removers = [];

    private HookStack(nn.Module module)
    {
        _module = module;
        _type = module.GetType();
        while (!_type.IsGenericType || _type.GetGenericTypeDefinition() != typeof(nn.HookableModule<,>))
            _type = _type.BaseType!;
    }

    /// <summary>That of a module which is called.</summary>
    public static HookStack Of(nn.Module module) => Stacks.GetValue(module, static module => new HookStack(module));

    /// <summary>Whether the program has put hooks of its own on the module.</summary>
    public bool HasOthers => CountOf("pre_hooks") + CountOf("post_hooks") > _removers.Length;

    /// <summary>Adds hooks inside of all there are, or around them.</summary>
    public void Add(ModuleHooks hooks, bool outermost)
    {
        _hooks = outermost ? [hooks, .. _hooks] : [.. _hooks, hooks];
        if (_removers.Length > 0)
            return;
        var kinds = _type.GetGenericArguments();
        _removers =
        [
            Register(nameof(nn.Module<,>.register_forward_pre_hook), kinds[0], BeforeOf.GetOrAdd(kinds[0], BeforeDelegate)(Before)),
            Register(nameof(nn.Module<,>.register_forward_hook), kinds[1], AfterOf.GetOrAdd(kinds[1], AfterDelegate)(After)),
        ];

        object Register(string method, Type kind, Delegate hook) => _type.GetMethod(method, [kind])!.Invoke(_module, [hook])!;
    }

    public void Remove(ModuleHooks hooks)
    {
        _hooks = [.. _hooks.Where(other => other != hooks)];
        if (_hooks.Length > 0)
            return;
        foreach (var remover in _removers)
            remover.GetType().GetMethod("remove")!.Invoke(remover, BindingFlags.Default, binder: null, [], culture: null);
        _removers = [];
    }

    private int CountOf(string hooks) =>
        _type.GetField(hooks, BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public)?.GetValue(_module) is ICollection all ? all.Count : 0;

    private object?[] Before(object?[] given)
    {
        foreach (var hooks in _hooks)
            given = hooks.Before(given);
        return given;
    }

    private object? After(object? returned)
    {
        foreach (var hooks in _hooks.Reverse())
            returned = hooks.After(returned);
        return returned;
    }

    /// <summary>A function of the module and its arguments that returns the argument, or all as a nullable tuple.</summary>
    private static Func<Func<object?[], object?[]>, Delegate> BeforeDelegate(Type kind)
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
    private static Func<Func<object?, object?>, Delegate> AfterDelegate(Type kind)
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
