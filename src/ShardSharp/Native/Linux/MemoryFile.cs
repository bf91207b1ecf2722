using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace ShardSharp.Native;

/// <summary>Anonymous files that live in memory alone (Linux, memfd_create(2)).</summary>
internal static partial class MemoryFile
{
    private const uint CloseOnExec = 1; // MFD_CLOEXEC

    /// <summary>Makes an anonymous file that holds <paramref name="content"/>.</summary>
    /// <param name="name">Shown in /proc for people; need not be unique.</param>
    /// <param name="content">The file's bytes.</param>
    /// <exception cref="IOException">The kernel refuses, or memory is short.</exception>
    public static SafeFileHandle Create(string name, ReadOnlySpan<byte> content)
    {
        int descriptor = CreateDescriptor(name, CloseOnExec);
        if (descriptor < 0)
            throw new IOException($"memfd_create failed: {Marshal.GetLastPInvokeErrorMessage()}.");
        var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        RandomAccess.Write(handle, content, fileOffset: 0);
        return handle;
    }

    [LibraryImport("libc", EntryPoint = "memfd_create", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int CreateDescriptor(string name, uint flags);
}
