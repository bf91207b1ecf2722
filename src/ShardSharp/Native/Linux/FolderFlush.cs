using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace ShardSharp.Native;

/// <summary>Makes the entries of a folder survive a loss of power: fsync(2) of the folder, which .NET cannot open.</summary>
internal static partial class FolderFlush
{
    private const int DirectoryReadOnlyCloseOnExec = 0x10000 | 0x80000; // O_DIRECTORY | O_RDONLY | O_CLOEXEC of <fcntl.h>

    /// <exception cref="IOException">The folder cannot be opened or flushed.</exception>
    public static void Flush(string folder)
    {
        var descriptor = Open(folder, DirectoryReadOnlyCloseOnExec);
        using var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        if (descriptor < 0 || Synchronize(descriptor) != 0)
            throw new IOException($"Cannot flush the folder {folder}: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}.");
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Synchronize(int descriptor);
}
