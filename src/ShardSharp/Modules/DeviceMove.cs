using ShardSharp.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.Modules;

/// <summary>Moves a model to a GPU while its parameters stay the same objects, and those that modules share stay shared.</summary>
/// <remarks>
/// TorchSharp's own <c>to</c> puts a new parameter in each place that has one: parameters that are tied come apart, and whoever knows a parameter
/// keeps the one on the CPU.
/// </remarks>
internal static class DeviceMove
{
    /// <summary>Moves all of a module, what it has in fields of its own included; what is there already stays as it is.</summary>
    public static void Apply(nn.Module module, Device device)
    {
        using var _ = no_grad();
        foreach (var tensor in ModuleTree.TensorsOf(module).Where(tensor => tensor.device_type != device.type))
        {
            using var moved = tensor.to(device);
            TensorData.Set(tensor, moved);
        }

        module.to(device);
    }
}
