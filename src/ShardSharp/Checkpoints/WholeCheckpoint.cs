using System.Text.Json;
using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace ShardSharp.Checkpoints;

/// <summary>
/// Model weights without any trace of ranks: a folder as transformers writes it, <c>model.safetensors</c> or several files with an index,
/// which any safetensors tool reads.
/// </summary>
internal static class WholeCheckpoint
{
    /// <summary>The file beside the tensors with what the program saved of its own.</summary>
    public const string ContentFile = "user_content.json";

    private const string Name = "model";

    /// <summary>Largest file, in bytes, as transformers has it.</summary>
    private const long LargestFile = 5_000_000_000;

    /// <summary>Writes the weights of a checkpoint as a whole.</summary>
    /// <param name="reader">The checkpoint.</param>
    /// <param name="folder">Where to; the folder exists.</param>
    /// <param name="prefix">What the names of the model's tensors begin with, which is left out.</param>
    /// <param name="type">Type of all elements with a fraction, as the format spells it; as stored if null.</param>
    public static void Write(CheckpointReader reader, string folder, string prefix, string? type = null)
    {
        var tensors = reader.Index.Tensors.Where(tensor => tensor.Name.StartsWith(prefix, StringComparison.Ordinal)).ToList();
        var files = Divide(tensors);
        var map = new Dictionary<string, string>();
        foreach (var (i, part) in files.Index())
        {
            var file = files.Count == 1 ? $"{Name}.safetensors" : $"{Name}-{i + 1:D5}-of-{files.Count:D5}.safetensors";
            var named = part.ToDictionary(tensor => tensor.Name[prefix.Length..], StringComparer.Ordinal);
            TensorStream.Write(reader, Path.Combine(folder, file), named, type, new Dictionary<string, string> { ["format"] = "pt" });
            foreach (var name in named.Keys)
                map[name] = file;
        }

        if (files.Count > 1)
            SafetensorsIndex.Write(Path.Combine(folder, $"{Name}.safetensors.index.json"), map, tensors.Sum(tensor => tensor.Bytes));
    }

    /// <summary>Writes what becomes of the weights of a checkpoint, all of which are in memory meanwhile.</summary>
    /// <param name="reader">The checkpoint.</param>
    /// <param name="folder">Where to; the folder exists.</param>
    /// <param name="prefix">What the names of the model's tensors begin with, which is left out.</param>
    /// <param name="translate">What becomes of them.</param>
    public static void WriteTranslated(
        CheckpointReader reader, string folder, string prefix, Func<IReadOnlyDictionary<string, Tensor>, IReadOnlyDictionary<string, Tensor>> translate)
    {
        using var scope = NewDisposeScope();
        SafetensorsFolder.Write(folder, translate(Read(reader, prefix)), new Dictionary<string, string> { ["format"] = "pt" }, LargestFile, Name);
    }

    /// <summary>The tensors of a model, by their names in it; the caller's.</summary>
    public static IReadOnlyDictionary<string, Tensor> Read(CheckpointReader reader, string prefix) =>
        reader.Index.Tensors.Select(tensor => tensor.Name).Where(name => name.StartsWith(prefix, StringComparison.Ordinal))
            .ToDictionary(name => name[prefix.Length..], reader.Read, StringComparer.Ordinal);

    /// <summary>Writes what the program saved of its own.</summary>
    public static void WriteContent(string folder, JsonNode? content) =>
        AtomicFile.Write(Path.Combine(folder, ContentFile), JsonSerializer.SerializeToUtf8Bytes(content));

    /// <summary>What the program saved of its own; null for nothing.</summary>
    public static JsonNode? ReadContent(string folder)
    {
        var path = Path.Combine(folder, ContentFile);
        try
        {
            return File.Exists(path) ? JsonNode.Parse(File.ReadAllBytes(path)) : null;
        }
        catch (JsonException failure)
        {
            throw new CheckpointException(path, $"it is damaged: {failure.Message}", failure);
        }
    }

    private static List<List<StoredTensor>> Divide(IEnumerable<StoredTensor> tensors)
    {
        var files = new List<List<StoredTensor>> { new() };
        var bytes = 0L;
        foreach (var tensor in tensors)
        {
            if (bytes > 0 && bytes + tensor.Bytes > LargestFile)
            {
                files.Add([]);
                bytes = 0;
            }

            files[^1].Add(tensor);
            bytes += tensor.Bytes;
        }

        return files;
    }
}
