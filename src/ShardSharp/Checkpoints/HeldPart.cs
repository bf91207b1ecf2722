using ShardSharp.Modules;

namespace ShardSharp.Checkpoints;

/// <summary>A part of a tensor that a rank has, as it tells the others.</summary>
/// <param name="Name">Name of the undivided tensor.</param>
/// <param name="Type">Type of the elements as safetensors files spell it.</param>
/// <param name="Shape">Shape of the undivided tensor.</param>
/// <param name="Dimension">As <see cref="TensorPart.Dimension"/>.</param>
/// <param name="Ranges">Start and length of each range, one after another.</param>
/// <param name="Start">As <see cref="TensorPart.Start"/>.</param>
/// <param name="Count">As <see cref="TensorPart.Count"/>.</param>
internal sealed record HeldPart(string Name, string Type, long[] Shape, int? Dimension, long[] Ranges, long Start, long Count)
{
    public static HeldPart Of(string name, string type, TensorPart part) => new(
        name, type, [.. part.Shape], part.Dimension,
        part.Dimension is null ? [] : [.. part.Ranges.SelectMany(range => new[] { range.Start, range.Length })], part.Start, part.Count);

    public TensorPart ToPart() => new(
        Shape, Dimension, [.. Ranges.Chunk(2).Select(range => new IndexRange(range[0], range[1]))], Start, Count);
}
