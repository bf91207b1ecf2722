namespace ShardSharp.Checkpoints;

/// <summary>A part of a tensor that one rank is to write.</summary>
/// <param name="Name">Name of the undivided tensor.</param>
/// <param name="Type">Type of the elements as safetensors files spell it.</param>
/// <param name="Part">Which elements.</param>
/// <param name="Rank">Who writes them.</param>
internal sealed record PlannedPart(string Name, string Type, TensorPart Part, int Rank)
{
    /// <summary>Bytes of the part.</summary>
    public long Bytes => Part.Count * (SafetensorsType.BitsOf(Type)!.Value / 8);
}
