using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace ShardSharp.Native;

/// <summary>
/// Memory whose pages live in a file, so that the kernel can write them out: mmap(2), madvise(2), posix_fallocate(3), sync_file_range(2).
/// Addresses and lengths are whole pages.
/// </summary>
internal static partial class FileMemory
{
    private const int Read = 1, Write = 2;
    private const int Shared = 1, Private = 2, Fixed = 0x10, Anonymous = 0x20;
    private const int WillNeed = 3, DontNeed = 4; // MADV_WILLNEED, MADV_DONTNEED
    private const int KeepSize = 1, PunchHole = 2; // FALLOC_FL_...
    private const uint StartWriting = 2;          // SYNC_FILE_RANGE_WRITE

    /// <summary>Maps a range of a file, which may end beyond the file's end as long as nobody touches that.</summary>
    /// <exception cref="IOException">The system refused.</exception>
    public static nint Map(SafeFileHandle file, long offset, long length)
    {
        var address = MapMemory(0, (nuint)length, Read | Write, Shared, file, offset);
        return address != -1 ? address : throw Refused($"mapping {length} bytes of a file");
    }

    /// <summary>Puts zeroed memory that has no file in the place of a mapping.</summary>
    /// <returns>Whether the system gave the memory.</returns>
    public static bool ReplaceByMemory(nint address, long length)
    {
        using var none = new SafeFileHandle(-1, ownsHandle: false);
        return MapMemory(address, (nuint)length, Read | Write, Private | Anonymous | Fixed, none, 0) != -1;
    }

    /// <summary>Ends a mapping, or a part of one.</summary>
    public static void Unmap(nint address, long length) => _ = UnmapMemory(address, (nuint)length);

    /// <summary>Lets go of the pages of a file mapping in this process. Their contents stay with the file.</summary>
    public static void LetGo(nint address, long length) => _ = Advise(address, (nuint)length, DontNeed);

    /// <summary>Has the kernel begin to read the pages of a file mapping.</summary>
    public static void ReadAhead(nint address, long length) => _ = Advise(address, (nuint)length, WillNeed);

    /// <summary>Takes room for a range of a file now, so that writing to its mapping cannot fail for want of it.</summary>
    /// <exception cref="IOException">There is no room, or the file may not grow so far.</exception>
    public static void Reserve(SafeFileHandle file, long offset, long length)
    {
        var error = Allocate(file, offset, length);
        if (error != 0)
            throw new IOException(new Win32Exception(error).Message);
    }

    /// <summary>Gives the room of a range back, and its contents up, where the file system can.</summary>
    public static void Discard(SafeFileHandle file, long offset, long length) => _ = Change(file, PunchHole | KeepSize, offset, length);

    /// <summary>Has the kernel begin to write what is not on the disk yet.</summary>
    /// <param name="file">The file.</param>
    /// <param name="offset">Where the range begins.</param>
    /// <param name="length">Its bytes; 0 for all to the end.</param>
    public static void BeginWriting(SafeFileHandle file, long offset = 0, long length = 0) => _ = Synchronize(file, offset, length, StartWriting);

    private static IOException Refused(string what) =>
        new($"The system refused {what}: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}.");

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint MapMemory(nint address, nuint length, int protection, int flags, SafeFileHandle file, long offset);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int UnmapMemory(nint address, nuint length);

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nint address, nuint length, int advice);

    [LibraryImport("libc", EntryPoint = "posix_fallocate")]
    private static partial int Allocate(SafeFileHandle file, long offset, long length);

    [LibraryImport("libc", EntryPoint = "fallocate")]
    private static partial int Change(SafeFileHandle file, int mode, long offset, long length);

    [LibraryImport("libc", EntryPoint = "sync_file_range")]
    private static partial int Synchronize(SafeFileHandle file, long offset, long length, uint flags);
}
