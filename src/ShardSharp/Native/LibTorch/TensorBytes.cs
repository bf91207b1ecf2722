using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Native;

/// <summary>Sizes of tensors in bytes.</summary>
internal static class TensorBytes
{
    public static long Of(Tensor tensor) => tensor.numel() * tensor.element_size();

    public static long OfGradients(IEnumerable<Parameter> parameters) => parameters.Sum(OfGradient);

    /// <summary>The same as far as <see cref="TensorAllocator"/> counts them.</summary>
    public static long OfCountedGradients(IEnumerable<Parameter> parameters) =>
        parameters.Select(OfGradient).Where(bytes => bytes >= AllocatorCode.SmallestBlock).Sum();

    private static long OfGradient(Parameter parameter)
    {
        using var gradient = parameter.grad;
        return gradient is null ? 0 : Of(gradient);
    }
}
