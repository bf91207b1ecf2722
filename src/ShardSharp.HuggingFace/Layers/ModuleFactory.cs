using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Layers;

/// <summary>Makes the layers that have parameters, all on one device and of one type.</summary>
/// <param name="device">Where the parameters are; the meta device for parameters without memory, which are filled in later.</param>
/// <param name="type">Their element type.</param>
internal sealed class ModuleFactory(Device device, ScalarType type)
{
    public Linear Linear(long inputs, long outputs, bool bias) => nn.Linear(inputs, outputs, bias, device, type);

    /// <param name="count">Number of vectors.</param>
    /// <param name="size">Length of each.</param>
    /// <param name="padding">The vector that gets no gradient where it is looked up; negative ones count from the end; none if null.</param>
    public Embedding Embedding(long count, long size, int? padding = null) =>
        nn.Embedding(count, size, padding < 0 ? padding + count : padding, device: device, dtype: type);

    public LayerNorm LayerNorm(long size, double epsilon) => nn.LayerNorm(size, epsilon, device: device, dtype: type);

    public RootMeanSquareNorm RootMeanSquareNorm(long size, double epsilon) => new(ones(size, device: device, dtype: type), epsilon);
}
