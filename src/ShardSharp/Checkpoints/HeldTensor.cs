using static TorchSharp.torch;

namespace ShardSharp.Checkpoints;

/// <summary>A part of a tensor that this rank has, with its values.</summary>
/// <param name="Name">Name of the undivided tensor.</param>
/// <param name="Part">Which elements.</param>
/// <param name="Values">The tensor that has them, which stays its owner's.</param>
/// <param name="Offset">The first element of the tensor, laid out flat, that belongs to the part.</param>
internal sealed record HeldTensor(string Name, TensorPart Part, Tensor Values, long Offset = 0)
{
    /// <summary>The parts that other ranks have as well, or do not, each for itself.</summary>
    public IEnumerable<HeldTensor> Separated => Part.Separate is { } ranges
        ? ranges.Select(range => this with { Part = range.Part, Offset = range.Offset })
        : [this];

    /// <summary>Type of the elements as safetensors files spell it.</summary>
    /// <exception cref="NotSupportedException">Such files do not have it.</exception>
    public string TypeName => SafetensorsType.NameOf(Values.dtype) ?? throw new NotSupportedException(
        $"Tensor {Name} has elements of type {Values.dtype}, which safetensors files do not have.");

    /// <summary>A run of the values, in the shape of the undivided tensor if it is all of it.</summary>
    public Tensor Slice(TensorPart part)
    {
        using var flat = Values.detach().reshape(-1);
        using var run = flat.narrow(0, Offset + part.Start - Part.Start, part.Count);
        return run.reshape(part.IsWhole ? [.. part.Shape] : [part.Count]);
    }
}
