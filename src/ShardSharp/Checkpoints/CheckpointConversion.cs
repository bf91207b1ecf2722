namespace ShardSharp.Checkpoints;

/// <summary>Writes a checkpoint anew, each tensor whole, so that nothing in it tells of the ranks that saved it.</summary>
internal static class CheckpointConversion
{
    private const string FileName = "rank-00000.safetensors";

    /// <param name="reader">The checkpoint.</param>
    /// <param name="folder">Where to; the folder exists.</param>
    public static void Write(CheckpointReader reader, string folder)
    {
        var tensors = reader.Index.Tensors.ToDictionary(tensor => tensor.Name, StringComparer.Ordinal);
        var checksums = TensorStream.Write(reader, Path.Combine(folder, FileName), tensors);
        var index = reader.Index with
        {
            Tensors =
            [
                .. reader.Index.Tensors.Select(tensor => tensor with
                {
                    Parts = [new StoredPart(FileName, tensor.Name, TensorPart.Whole(tensor.Shape), checksums[tensor.Name])],
                }),
            ],
        };
        AtomicFile.Write(Path.Combine(folder, CheckpointIndex.FileName), CheckpointIndexWriter.ToBytes(index));
    }
}
