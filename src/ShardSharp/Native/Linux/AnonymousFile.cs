using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace ShardSharp.Native;

/// <summary>Files that live in memory and have no name in the file system: memfd_create(2).</summary>
internal static partial class AnonymousFile
{
    private const uint CloseOnExec = 1;

    /// <param name="name">Shown in /proc for people who look; need not be unique.</param>
    /// <exception cref="PlatformNotSupportedException">Not Linux.</exception>
    /// <exception cref="IOException">The kernel refused.</exception>
    public static SafeFileHandle Create(string name)
    {
        if (!OperatingSystem.IsLinux())
            throw new PlatformNotSupportedException("Memory shared between processes needs Linux; here ranks can be threads: backend 'threads'.");
        var descriptor = MemfdCreate(name, CloseOnExec);
        return descriptor >= 0
            ? new SafeFileHandle(descriptor, ownsHandle: true)
            : throw new IOException($"Cannot create anonymous memory: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}.");
    }

    [LibraryImport("libc", EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int MemfdCreate(string name, uint flags);
}
