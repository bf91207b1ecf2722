using static TorchSharp.torch;

namespace ShardSharp.Checkpoints;

/// <summary>Writes the file of one rank.</summary>
internal static class PartFile
{
    /// <summary>Name of a rank's file.</summary>
    public static string NameOf(int rank) => $"rank-{rank:D5}.safetensors";

    /// <summary>Name of a part in the file: that of the tensor, and which elements of it unless it is the whole.</summary>
    public static string KeyOf(PlannedPart part) => part.Part.IsWhole
        ? part.Name
        : $"{part.Name}[{(part.Part.Dimension is null ? "" : part.Part.Layout + ";")}{part.Part.Start}..{part.Part.End}]";

    /// <summary>The parts that a rank is to write, with their values. The caller disposes them.</summary>
    /// <param name="plan">The parts of this rank.</param>
    /// <param name="held">What the rank has.</param>
    /// <param name="copies">Whether to copy the values, so that they may change meanwhile.</param>
    public static List<KeyValuePair<string, Tensor>> Collect(
        IEnumerable<PlannedPart> plan, IEnumerable<HeldTensor> held, bool copies)
    {
        using var unrecorded = no_grad();
        using var scope = NewDisposeScope();
        var byName = held.ToLookup(tensor => tensor.Name, StringComparer.Ordinal);
        var collected = new List<KeyValuePair<string, Tensor>>();
        foreach (var part in plan)
        {
            var source = byName[part.Name].First(
                tensor => tensor.Part.Layout == part.Part.Layout && tensor.Part.Start <= part.Part.Start && tensor.Part.End >= part.Part.End);
            var values = source.Slice(part.Part);
            collected.Add(KeyValuePair.Create(KeyOf(part), (copies ? values.cpu().clone() : values).DetachFromDisposeScope()));
        }

        return collected;
    }

    /// <summary>Writes the file and has it on disk.</summary>
    /// <param name="path">The file, which must not exist.</param>
    /// <param name="tensors">Names and values.</param>
    /// <returns>The checksums of each tensor.</returns>
    public static IReadOnlyList<SavedPart> Write(string path, IReadOnlyList<KeyValuePair<string, Tensor>> tensors)
    {
        var saved = new List<SavedPart>();
        uint[] checksums = [];
        var contents = new SafetensorsContents(tensors, metadata: null);
        using var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write, preallocationSize: contents.Length);
        contents.WriteTo(file, (entry, position, bytes) =>
        {
            if (position == 0)
                checksums = new uint[BlockChecksums.CountOf(entry.Bytes)];
            BlockChecksums.Compute(bytes, checksums.AsSpan((int)(position / BlockChecksums.BlockBytes)));
            if (position + bytes.Length == entry.Bytes)
                saved.Add(new SavedPart(entry.Name, BlockChecksums.ToText(checksums)));
        });
        RandomAccess.FlushToDisk(file);
        return saved;
    }
}
