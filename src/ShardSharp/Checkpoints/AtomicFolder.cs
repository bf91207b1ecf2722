using ShardSharp.Native;

namespace ShardSharp.Checkpoints;

/// <summary>Writes folders that are either there, complete and on disk, or not there.</summary>
internal static class AtomicFolder
{
    /// <param name="path">The folder; it must not exist, or be empty.</param>
    /// <param name="write">Writes files, each flushed to disk, into the folder it is given, which then gets its name.</param>
    /// <exception cref="IOException">There is something in the folder, or it cannot be written.</exception>
    public static void Write(string path, Action<string> write)
    {
        path = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        if (File.Exists(path) || (Directory.Exists(path) && Directory.EnumerateFileSystemEntries(path).Any()))
            throw new IOException($"{path} exists already; give a folder that does not exist, or is empty.");
        var partial = $"{path}.{Guid.NewGuid():N}.partial";
        Directory.CreateDirectory(partial);
        try
        {
            write(partial);
            if (Directory.Exists(path))
                Directory.Delete(path);
            Directory.Move(partial, path);
        }
        catch
        {
            Directory.Delete(partial, recursive: true);
            throw;
        }

        HostPlatform.Current.FlushFolder(Path.GetDirectoryName(path)!);
    }
}
