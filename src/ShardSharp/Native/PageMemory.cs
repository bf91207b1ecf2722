using System.ComponentModel;
using System.Runtime.InteropServices;

namespace ShardSharp.Native;

/// <summary>Zeroed memory of this process in whole pages. On Linux pages that are never touched cost nothing: mmap(2).</summary>
internal static unsafe partial class PageMemory
{
    private const nuint Alignment = 4096;
    private const int Read = 1, Write = 2;
    private const int DontNeed = 4;
    private const int Private = 2, Anonymous = 0x20, NoReserve = 0x4000;

    /// <exception cref="InsufficientMemoryException">The system has no room for it.</exception>
    public static byte* Allocate(long length)
    {
        if (OperatingSystem.IsLinux())
        {
            var address = Map(0, (nuint)length, Read | Write, Private | Anonymous | NoReserve, descriptor: -1, offset: 0);
            return address != -1
                ? (byte*)address
                : throw new InsufficientMemoryException($"Cannot map {length} bytes: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}.");
        }

        var memory = NativeMemory.AlignedAlloc((nuint)length, Alignment);
        NativeMemory.Clear(memory, (nuint)length);
        return (byte*)memory;
    }

    public static void Free(byte* address, long length)
    {
        if (OperatingSystem.IsLinux())
            _ = Unmap((nint)address, (nuint)length);
        else
            NativeMemory.AlignedFree(address);
    }

    /// <summary>Gives the whole pages of a range back to the system, on Linux: madvise(2). Elsewhere they stay.</summary>
    public static void Discard(byte* address, long length)
    {
        var first = ((nuint)address + Alignment - 1) & ~(Alignment - 1);
        var end = (nuint)(address + length) & ~(Alignment - 1);
        if (OperatingSystem.IsLinux() && end > first)
            _ = Advise((nint)first, end - first, DontNeed);
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nint address, nuint length, int advice);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint Map(nint address, nuint length, int protection, int flags, int descriptor, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(nint address, nuint length);
}
