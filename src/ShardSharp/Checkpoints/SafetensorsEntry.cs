using static TorchSharp.torch;

namespace ShardSharp.Checkpoints;

/// <summary>What the header of a safetensors file says of one tensor.</summary>
/// <param name="Name">The tensor's name, unique in the file.</param>
/// <param name="TypeName">The element type as the format spells it, such as <c>BF16</c>.</param>
/// <param name="Shape">The tensor's sizes; empty for a single number.</param>
/// <param name="Offset">Where its bytes begin, counted from the end of the header.</param>
/// <param name="Bytes">How many bytes it has.</param>
public sealed record SafetensorsEntry(string Name, string TypeName, IReadOnlyList<long> Shape, long Offset, long Bytes)
{
    /// <summary>The element type; null for those that TorchSharp does not have, which can be listed but not read.</summary>
    public ScalarType? Type => SafetensorsType.TypeOf(TypeName);

    /// <summary>The number of elements.</summary>
    public long Elements => Shape.Aggregate(1L, (product, size) => product * size);
}
