namespace ShardSharp.Native;

/// <summary>The shared libraries mapped into this process (Linux, /proc/self/maps of proc(5)).</summary>
internal static class LoadedLibraries
{
    /// <summary>The path of the loaded library <paramref name="fileName"/>, links resolved by the kernel; null where none is.</summary>
    /// <param name="fileName">The library's shared object name; a file name that begins with it counts too (<c>libx.so.6.0.30</c>).</param>
    public static string? Find(string fileName) => Find(fileName, File.ReadLines("/proc/self/maps"));

    /// <summary>As above, on the given lines of a maps file.</summary>
    internal static string? Find(string fileName, IEnumerable<string> maps)
    {
        foreach (var line in maps)
        {
            // address permissions offset device inode path: the path is the only field with a slash.
            var path = line.IndexOf('/', StringComparison.Ordinal);
            if (path < 0)
                continue;
            var name = Path.GetFileName(line[path..]);
            if (name == fileName || name.StartsWith(fileName + ".", StringComparison.Ordinal))
                return line[path..];
        }

        return null;
    }
}
