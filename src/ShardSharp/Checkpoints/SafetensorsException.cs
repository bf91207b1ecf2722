namespace ShardSharp.Checkpoints;

/// <summary>A safetensors file or index is not what the format demands, or does not hold what was asked for.</summary>
public sealed class SafetensorsException : IOException
{
    internal SafetensorsException(string path, string problem, Exception? cause = null)
        : base($"{path}: {problem}", cause) => Path = path;

    /// <summary>The file.</summary>
    public string Path { get; }
}
