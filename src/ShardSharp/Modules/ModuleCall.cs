using System.Reflection;
using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace ShardSharp.Modules;

/// <summary>Calls a module of any signature.</summary>
internal sealed class ModuleCall
{
    private readonly nn.Module _module;
    private readonly MethodInfo _call;
    private readonly ParameterInfo[] _parameters;

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
        _parameters = module.GetType().GetMethod("forward", types[..^1])!.GetParameters();
    }

    /// <summary>The types of its arguments.</summary>
    public IReadOnlyList<Type> Takes { get; }

    /// <summary>What its arguments are called.</summary>
    public IReadOnlyList<string> Names => [.. _parameters.Select((parameter, i) => parameter.Name ?? $"{i}")];

    /// <summary>The type of what it returns.</summary>
    public Type Returns { get; }

    /// <summary>The arguments that a value stands for: itself, or the items of a tuple or list where there are several arguments.</summary>
    /// <param name="value">The value. At its end it may leave out items for arguments that may be null.</param>
    /// <exception cref="ArgumentException">It does not fit.</exception>
    public object?[] Arguments(object? value)
    {
        if (Takes.Count == 1 && (Takes[0].IsInstanceOfType(value) || value is not IReadOnlyList<Tensor>))
            return [.. Fitting([value])];
        return value switch
        {
            IReadOnlyList<Tensor> tensors => Fitting([.. tensors]),
            ITuple tuple => Fitting([.. Enumerable.Range(0, tuple.Length).Select(i => tuple[i])]),
            _ => Fitting([value]),
        };
    }

    /// <summary>Calls it, hooks included.</summary>
    public object? Invoke(object?[] arguments) =>
        _call.Invoke(_module, BindingFlags.DoNotWrapExceptions, binder: null, arguments, culture: null);

    /// <summary>Arguments, with nothing for those at the end that were left out and may be null.</summary>
    /// <exception cref="ArgumentException">They do not fit.</exception>
    public object?[] Fitting(object?[] given)
    {
        if (given.Length > Takes.Count || Enumerable.Range(given.Length, Math.Max(0, Takes.Count - given.Length)).Any(i => !MayBeNull(_parameters[i])))
            throw Misfit($"{given.Length} inputs were given");
        for (var i = 0; i < given.Length; i++)
        {
            if (given[i] is { } argument ? !Takes[i].IsInstanceOfType(argument) : Takes[i].IsValueType && Nullable.GetUnderlyingType(Takes[i]) is null)
                throw Misfit($"{Names[i]} was given {(given[i] is { } other ? $"a {other.GetType().Name}" : "null")}");
        }

        return [.. given, .. new object?[Takes.Count - given.Length]];
    }

    private ArgumentException Misfit(string what) => new(
        $"{_module.GetType().Name} is called with {Takes.Count} arguments ({string.Join(", ", Takes.Zip(Names, (type, name) => $"{type.Name} {name}"))}); {what}.");

    private static bool MayBeNull(ParameterInfo parameter) => new NullabilityInfoContext().Create(parameter).WriteState == NullabilityState.Nullable;
}
