using System.Runtime.InteropServices;

namespace ShardSharp.Native;

/// <summary>The places through which a loaded library calls functions of others, or its own that others may replace.</summary>
/// <remarks>Sources: System V ABI, "Dynamic Section", "Relocation"; its x86-64 supplement (R_X86_64_JUMP_SLOT).</remarks>
internal static unsafe partial class ImportSlots
{
    private const int ProgramHeaders = 32, ProgramHeaderCount = 56, ProgramHeaderSize = 56, VirtualAddress = 16;
    private const uint DynamicSegment = 2;                            // PT_DYNAMIC
    private const long Strings = 5, Symbols = 6, Relocations = 23, RelocationBytes = 2; // DT_STRTAB, DT_SYMTAB, DT_JMPREL, DT_PLTRELSZ
    private const int SymbolSize = 24, RelocationSize = 24;
    private const uint JumpSlot = 7;

    /// <summary>The slot through which the library that defines an address calls a function; null where there is none that can be written to.</summary>
    /// <param name="within">Any function of the library.</param>
    /// <param name="function">The function's name in the library's symbols.</param>
    public static nint* Find(nint within, ReadOnlySpan<byte> function)
    {
        Description library;
        if (AddressInformation(within, &library) == 0)
            return null;
        var dynamic = DynamicSection((byte*)library.Base);
        nint strings = 0, symbols = 0, relocations = 0;
        long bytes = 0;
        for (; dynamic is not null && dynamic[0] != 0; dynamic += 2)
        {
            // The loader has made addresses of most of these; others are offsets still.
            var address = (nint)dynamic[1] < library.Base ? library.Base + (nint)dynamic[1] : (nint)dynamic[1];
            switch (dynamic[0])
            {
                case Strings: strings = address; break;
                case Symbols: symbols = address; break;
                case Relocations: relocations = address; break;
                case RelocationBytes: bytes = dynamic[1]; break;
            }
        }

        if (strings == 0 || symbols == 0)
            return null;
        for (var entry = (long*)relocations; bytes > 0; bytes -= RelocationSize, entry += RelocationSize / sizeof(long))
        {
            if ((uint)entry[1] != JumpSlot)
                continue;
            var name = MemoryMarshal.CreateReadOnlySpanFromNullTerminated((byte*)strings + *(uint*)(symbols + (SymbolSize * (nint)(entry[1] >> 32))));
            if (name.SequenceEqual(function))
                return IsWritable(library.Base + (nint)entry[0]) ? (nint*)(library.Base + (nint)entry[0]) : null;
        }

        return null;
    }

    private static long* DynamicSection(byte* image)
    {
        var header = image + *(long*)(image + ProgramHeaders);
        for (var i = 0; i < *(ushort*)(image + ProgramHeaderCount); i++, header += ProgramHeaderSize)
        {
            if (*(uint*)header == DynamicSegment)
                return (long*)(image + *(long*)(header + VirtualAddress));
        }

        return null;
    }

    private static bool IsWritable(nint address)
    {
        foreach (var line in File.ReadLines("/proc/self/maps"))
        {
            // from-to permissions offset device inode path
            var ends = line.AsSpan(0, line.IndexOf(' ', StringComparison.Ordinal));
            var dash = ends.IndexOf('-');
            if (address >= nint.Parse(ends[..dash], System.Globalization.NumberStyles.HexNumber, null)
                && address < nint.Parse(ends[(dash + 1)..], System.Globalization.NumberStyles.HexNumber, null))
                return line[ends.Length + 2] == 'w';
        }

        return false;
    }

    [LibraryImport("libc", EntryPoint = "dladdr")]
    private static partial int AddressInformation(nint address, Description* description);

    /// <summary>Dl_info of dladdr(3).</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Description
    {
        public nint File;
        public nint Base;
        public nint Symbol;
        public nint Address;
    }
}
