using static TorchSharp.torch;

namespace ShardSharp.Checkpoints;

/// <summary>Reads the files in which TorchSharp and PyTorch keep state dictionaries, for <c>model.LoadStateDict</c>.</summary>
public static class StateFile
{
    /// <summary>
    /// Reads all tensors of a file: safetensors, what TorchSharp's <c>module.save</c> wrote, or what PyTorch's <c>torch.save</c> made of a state
    /// dictionary (the zip format, since PyTorch 1.6). The content tells which it is.
    /// </summary>
    /// <remarks>No code of a pickle runs: of what it may name, tensors, their storages and dictionaries are read, and all else is refused.</remarks>
    /// <param name="path">The file.</param>
    /// <returns>New CPU tensors by their names, the caller's.</returns>
    /// <exception cref="CheckpointException">The file is damaged, or has something else than tensors.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static IReadOnlyDictionary<string, Tensor> Read(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        Span<byte> start = stackalloc byte[16];
        using (var file = File.OpenHandle(path))
            start = start[..RandomAccess.Read(file, start, 0)];
        if (start.StartsWith("PK\u0003\u0004"u8))
            return PickleFile.Read(path);
        return start.Length > SafetensorsHeader.LengthBytes && start[SafetensorsHeader.LengthBytes] == '{' && start[5] == 0 && start[6] == 0 && start[7] == 0
            ? Safetensors(path)
            : TorchSharpFile.Read(path);
    }

    private static Dictionary<string, Tensor> Safetensors(string path)
    {
        using var file = SafetensorsFile.Open(path);
        return file.Entries.ToDictionary(entry => entry.Name, entry => file.Read(entry.Name), StringComparer.Ordinal);
    }
}
