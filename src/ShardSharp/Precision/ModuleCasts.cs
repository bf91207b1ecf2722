using ShardSharp.Modules;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Precision;

/// <summary>Puts a module into the types of a policy: its buffers, what it is called with and what it returns.</summary>
internal sealed class ModuleCasts : IDisposable
{
    private readonly ModuleHooks _hooks;

    /// <param name="module">The model. Its fields see the cast buffers.</param>
    /// <param name="precision">The types.</param>
    /// <exception cref="NotSupportedException">The module is none that is called.</exception>
    public ModuleCasts(nn.Module module, PrecisionPolicy precision)
    {
        if (!ModuleTree.IsCalled(module))
        {
            throw new NotSupportedException(
                $"bf16 and fp16 cast what the model is called with, but {module.GetType().Name} has no call. Derive it from nn.Module<..., ...>.");
        }

        using var scope = NewDisposeScope();
        foreach (var buffer in module.buffers())
        {
            if (buffer.is_floating_point() && buffer.dtype != precision.Buffers)
                TensorData.Set(buffer, buffer.to_type(precision.Buffers));
        }

        _hooks = new ModuleHooks(
            module, given => [.. given.Select(value => Cast(value, precision.Compute))], returned => Cast(returned, precision.Output));
    }

    /// <summary>Casts the floating-point tensors of a value; everything else stays what it is.</summary>
    public static object? Cast(object? value, ScalarType type)
    {
        var complete = true;
        return TensorParts.Replace(
            value, tensor => tensor.is_floating_point() && tensor.dtype != type ? tensor.to_type(type) : tensor, ref complete);
    }

    public void Dispose() => _hooks.Dispose();
}
