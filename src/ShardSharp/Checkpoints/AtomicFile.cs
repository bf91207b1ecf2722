using Microsoft.Win32.SafeHandles;
using ShardSharp.Native;

namespace ShardSharp.Checkpoints;

/// <summary>Writes files that are either there, complete and on disk, or not there: no crash leaves half of one under its name.</summary>
internal static class AtomicFile
{
    /// <param name="path">The file; one that exists is replaced.</param>
    /// <param name="content">The content.</param>
    public static void Write(string path, ReadOnlyMemory<byte> content) => Write(path, file => RandomAccess.Write(file, content.Span, 0));

    /// <param name="path">The file; one that exists is replaced.</param>
    /// <param name="write">Writes the content.</param>
    public static void Write(string path, Action<SafeFileHandle> write)
    {
        path = Path.GetFullPath(path);
        var partial = $"{path}.{Guid.NewGuid():N}.partial";
        try
        {
            using (var file = File.OpenHandle(partial, FileMode.CreateNew, FileAccess.Write))
            {
                write(file);
                RandomAccess.FlushToDisk(file);
            }

            File.Move(partial, path, overwrite: true);
        }
        catch
        {
            File.Delete(partial);
            throw;
        }

        HostPlatform.Current.FlushFolder(Path.GetDirectoryName(path)!);
    }
}
