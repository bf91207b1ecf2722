using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace ShardSharp.Native;

/// <summary>Machine code of our own: mmap(2) and mprotect(2). Never writable and executable at once, and never freed.</summary>
[SupportedOSPlatform("linux")]
internal static unsafe partial class ExecutableMemory
{
    private const int Read = 1, Write = 2, Execute = 4;
    private const int Private = 2, Anonymous = 0x20;

    /// <summary>Copies the bytes into memory that can be executed and read.</summary>
    /// <returns>Its address, at the start of a page; 0 where the system allows no such memory (a hardened kernel, for example).</returns>
    public static nint TryCreate(ReadOnlySpan<byte> content)
    {
        var address = Map(0, (nuint)content.Length, Read | Write, Private | Anonymous, descriptor: -1, offset: 0);
        if (address == -1)
            return 0;
        content.CopyTo(new Span<byte>((void*)address, content.Length));
        if (Protect(address, (nuint)content.Length, Read | Execute) == 0)
            return address;
        _ = Unmap(address, (nuint)content.Length);
        return 0;
    }

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial nint Map(nint address, nuint length, int protection, int flags, int descriptor, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect")]
    private static partial int Protect(nint address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(nint address, nuint length);
}
