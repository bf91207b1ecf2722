using System.Runtime.InteropServices;
using System.Text;

namespace ShardSharp.Native;

/// <summary>The MPI library of this process.</summary>
internal sealed class MpiLibrary
{
    private const int LongestVersion = 8192;

    private MpiLibrary(string file, MpiEntryPoints entryPoints, string version, MpiAbi abi) =>
        (File, EntryPoints, Version, Abi) = (file, entryPoints, version, abi);

    /// <summary>The name or path under which it was found.</summary>
    public string File { get; }

    /// <summary>What it says of itself, in one line: <c>Open MPI v4.1.4, ...</c>.</summary>
    public string Version { get; }

    /// <summary>Its binary interface.</summary>
    public MpiAbi Abi { get; }

    public MpiEntryPoints EntryPoints { get; }

    /// <summary>Loads the first of several libraries that is there; loading it again gives the same one.</summary>
    /// <param name="files">Names or paths, the preferred one first.</param>
    /// <exception cref="DllNotFoundException">None is there; the message says what was tried.</exception>
    /// <exception cref="NotSupportedException">The library found is no MPI known here.</exception>
    public static MpiLibrary Load(IReadOnlyList<string> files)
    {
        if (!OperatingSystem.IsLinux())
            throw new PlatformNotSupportedException("The MPI backend needs Linux; here ranks can be threads: backend 'threads'.");
        var reasons = new List<string>();
        foreach (var file in files)
        {
            if (DynamicLinker.TryLoadGlobally(file, out var handle, out var reason))
                return Describe(file, handle);
            reasons.Add($"{file} ({reason})");
        }

        throw new DllNotFoundException(
            $"No MPI library was found. Install Open MPI (Debian: openmpi-bin) or MPICH (mpich), or name the library in {MpiLibraryNames.Variable}. "
            + $"Tried: {string.Join("; ", reasons)}.");
    }

    private static unsafe MpiLibrary Describe(string file, nint handle)
    {
        var entryPoints = new MpiEntryPoints(file, handle);
        var text = stackalloc byte[LongestVersion];
        var length = 0;
        entryPoints.GetLibraryVersion(text, &length);
        var version = Encoding.UTF8.GetString(text, length).TrimEnd('\0', '\n');
        var abi = MpiAbi.Detect(
            Path.GetFileName(file), version, name => NativeLibrary.TryGetExport(handle, name, out var address) ? address : 0);
        return new MpiLibrary(file, entryPoints, version.Split('\n')[0], abi);
    }
}
