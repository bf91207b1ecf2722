namespace ShardSharp.Tests.Checkpoints;

/// <summary>A folder that goes with its test.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("shardsharp-test-");

    public string Path => _folder.FullName;

    /// <summary>The names of the files in it.</summary>
    public IEnumerable<string> Files => _folder.EnumerateFileSystemInfos().Select(file => file.Name).Order();

    public string this[string name] => System.IO.Path.Combine(Path, name);

    public void Dispose() => _folder.Delete(recursive: true);
}
