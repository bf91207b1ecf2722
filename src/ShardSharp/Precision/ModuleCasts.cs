using System.Reflection;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Precision;

/// <summary>Puts a module into the types of a policy: its buffers, what it is called with and what it returns.</summary>
internal static class ModuleCasts
{
    private static readonly MethodInfo[] Hooks =
        [.. typeof(ModuleCasts).GetMethods(BindingFlags.NonPublic | BindingFlags.Static).Where(method => method.Name == nameof(Hook))];

    /// <summary>Casts the floating-point buffers; the module's fields see the cast ones.</summary>
    public static void CastBuffers(nn.Module module, ScalarType type)
    {
        using var scope = NewDisposeScope();
        foreach (var buffer in module.buffers())
        {
            if (buffer.is_floating_point() && buffer.dtype != type)
                TensorData.Set(buffer, buffer.to_type(type));
        }
    }

    /// <summary>Casts floating-point tensors on their way into a module and out of it, alone or in tuples, lists and dictionaries.</summary>
    /// <exception cref="NotSupportedException">The module is none that is called.</exception>
    public static void HookCalls(nn.Module module, ScalarType inputs, ScalarType outputs)
    {
        var type = module.GetType();
        while (type is not null && !IsCalled(type))
            type = type.BaseType;
        if (type is null)
        {
            throw new NotSupportedException(
                $"bf16 and fp16 cast what the model is called with, but {module.GetType().Name} has no call. Derive it from "
                + "nn.Module<..., ...> of one to six inputs.");
        }

        var arguments = type.GetGenericArguments();
        Hooks.Single(hook => hook.GetGenericArguments().Length == arguments.Length).MakeGenericMethod(arguments)
            .Invoke(null, [module, inputs, outputs]);
    }

    private static bool IsCalled(Type type) => type.IsGenericType && type.BaseType is { IsGenericType: true } hookable
        && hookable.GetGenericTypeDefinition() == typeof(nn.HookableModule<,>);

    private static void Hook<T, TResult>(nn.Module<T, TResult> module, ScalarType inputs, ScalarType outputs)
    {
        module.register_forward_pre_hook((_, a) => ValueCast.To(a, inputs));
        module.register_forward_hook((_, _, result) => ValueCast.To(result, outputs));
    }

    private static void Hook<T1, T2, TResult>(nn.Module<T1, T2, TResult> module, ScalarType inputs, ScalarType outputs)
    {
        module.register_forward_pre_hook((_, a, b) => (ValueCast.To(a, inputs), ValueCast.To(b, inputs)));
        module.register_forward_hook((_, _, _, result) => ValueCast.To(result, outputs));
    }

    private static void Hook<T1, T2, T3, TResult>(nn.Module<T1, T2, T3, TResult> module, ScalarType inputs, ScalarType outputs)
    {
        module.register_forward_pre_hook((_, a, b, c) => (ValueCast.To(a, inputs), ValueCast.To(b, inputs), ValueCast.To(c, inputs)));
        module.register_forward_hook((_, _, _, _, result) => ValueCast.To(result, outputs));
    }

    private static void Hook<T1, T2, T3, T4, TResult>(nn.Module<T1, T2, T3, T4, TResult> module, ScalarType inputs, ScalarType outputs)
    {
        module.register_forward_pre_hook(
            (_, a, b, c, d) => (ValueCast.To(a, inputs), ValueCast.To(b, inputs), ValueCast.To(c, inputs), ValueCast.To(d, inputs)));
        module.register_forward_hook((_, _, _, _, _, result) => ValueCast.To(result, outputs));
    }

    private static void Hook<T1, T2, T3, T4, T5, TResult>(nn.Module<T1, T2, T3, T4, T5, TResult> module, ScalarType inputs, ScalarType outputs)
    {
        module.register_forward_pre_hook(
            (_, a, b, c, d, e) => (
                ValueCast.To(a, inputs), ValueCast.To(b, inputs), ValueCast.To(c, inputs), ValueCast.To(d, inputs), ValueCast.To(e, inputs)));
        module.register_forward_hook((_, _, _, _, _, _, result) => ValueCast.To(result, outputs));
    }

    private static void Hook<T1, T2, T3, T4, T5, T6, TResult>(
        nn.Module<T1, T2, T3, T4, T5, T6, TResult> module, ScalarType inputs, ScalarType outputs)
    {
        module.register_forward_pre_hook(
            (_, a, b, c, d, e, f) => (
                ValueCast.To(a, inputs), ValueCast.To(b, inputs), ValueCast.To(c, inputs), ValueCast.To(d, inputs), ValueCast.To(e, inputs),
                ValueCast.To(f, inputs)));
        module.register_forward_hook((_, _, _, _, _, _, _, result) => ValueCast.To(result, outputs));
    }
}
