namespace ShardSharp.Checkpoints;

/// <summary>A tensor of a checkpoint: what it is, and where its parts lie.</summary>
/// <param name="Name">Name of the undivided tensor, such as <c>model/h.0.weight</c>.</param>
/// <param name="TypeName">Type of the elements as safetensors files spell it.</param>
/// <param name="Shape">Shape of the undivided tensor.</param>
/// <param name="Parts">Parts that together have every element once.</param>
internal sealed record StoredTensor(string Name, string TypeName, IReadOnlyList<long> Shape, IReadOnlyList<StoredPart> Parts)
{
    /// <summary>Bytes of an element.</summary>
    public int ElementSize => SafetensorsType.BitsOf(TypeName)!.Value / 8;

    /// <summary>Bytes of all elements.</summary>
    public long Bytes => TensorPart.ElementsOf(Shape) * ElementSize;
}

/// <summary>A part of a tensor in a file.</summary>
/// <param name="File">Name of the file in the checkpoint's folder.</param>
/// <param name="Key">Name of the part in the file.</param>
/// <param name="Part">Which elements it has.</param>
/// <param name="Checksums">One for each block of its bytes.</param>
internal sealed record StoredPart(string File, string Key, TensorPart Part, uint[] Checksums);
