namespace ShardSharp.Checkpoints;

/// <summary>A checkpoint cannot be saved, is damaged, or does not have what a program asks of it.</summary>
public sealed class CheckpointException : IOException
{
    internal CheckpointException(string path, string problem, Exception? cause = null)
        : base($"{path}: {problem}", cause) => Path = path;

    /// <summary>The file or folder.</summary>
    public string Path { get; }
}
