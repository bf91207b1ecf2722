using System.Buffers.Binary;

namespace ShardSharp.Native;

/// <summary>
/// The file header of a 64-bit x86 shared object, with its program and section header tables checked against the file's length.
/// Layout: System V ABI, "ELF-64 Object File Format", Elf64_Ehdr and Elf64_Phdr.
/// </summary>
internal readonly record struct ElfHeader(long SectionTableOffset, int SectionCount)
{
    /// <summary>Bytes in an Elf64_Shdr, the entry of the section header table.</summary>
    public const int SectionEntrySize = 64;

    private const int Size = 64;
    private const int SegmentEntrySize = 56;
    private const ushort SharedObject = 3;
    private const ushort MachineX64 = 62;

    private static ReadOnlySpan<byte> Magic64BitLittleEndian => [0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1];

    /// <summary>Reads the header of an image that is in memory.</summary>
    /// <exception cref="InvalidDataException">The image is not such a shared object, or is shorter than its headers say.</exception>
    public static ElfHeader Read(byte[] image, string name)
    {
        using var stream = new MemoryStream(image, writable: false);
        return Read(stream, name);
    }

    /// <summary>
    /// Reads the header of a file and its program headers only, so that a truncated library of any size is found out in microseconds:
    /// the dynamic linker maps a file without looking at its length, and the process dies of SIGBUS on the first missing page.
    /// </summary>
    /// <exception cref="InvalidDataException">The file is not such a shared object, or is shorter than its headers say.</exception>
    public static ElfHeader Read(Stream file, string name)
    {
        Span<byte> header = stackalloc byte[Size];
        if (file.ReadAtLeast(header, Size, throwOnEndOfStream: false) < Size)
            throw new InvalidDataException($"{name} is truncated: {file.Length} bytes are too few for an ELF header.");
        if (!header.StartsWith(Magic64BitLittleEndian))
            throw new InvalidDataException($"{name} is not a 64-bit little-endian ELF file.");
        if (BinaryPrimitives.ReadUInt16LittleEndian(header[16..]) != SharedObject
            || BinaryPrimitives.ReadUInt16LittleEndian(header[18..]) != MachineX64)
            throw new InvalidDataException($"{name} is not a shared library for x86-64.");

        var segments = BinaryPrimitives.ReadUInt64LittleEndian(header[32..]);
        var sections = BinaryPrimitives.ReadUInt64LittleEndian(header[40..]);
        int segmentCount = BinaryPrimitives.ReadUInt16LittleEndian(header[56..]);
        int sectionCount = BinaryPrimitives.ReadUInt16LittleEndian(header[60..]);
        if ((segmentCount > 0 && BinaryPrimitives.ReadUInt16LittleEndian(header[54..]) != SegmentEntrySize)
            || (sectionCount > 0 && BinaryPrimitives.ReadUInt16LittleEndian(header[58..]) != SectionEntrySize))
            throw new InvalidDataException($"{name} is malformed: its header tables have entries of an unknown size.");
        RequireRange(file, name, segments, (ulong)(segmentCount * SegmentEntrySize));
        RequireRange(file, name, sections, (ulong)(sectionCount * SectionEntrySize));

        Span<byte> segment = stackalloc byte[SegmentEntrySize];
        file.Position = (long)segments;
        for (var i = 0; i < segmentCount; i++)
        {
            file.ReadExactly(segment);
            RequireRange(
                file, name, BinaryPrimitives.ReadUInt64LittleEndian(segment[8..]), BinaryPrimitives.ReadUInt64LittleEndian(segment[32..]));
        }

        return new ElfHeader((long)sections, sectionCount);
    }

    private static void RequireRange(Stream file, string name, ulong offset, ulong size)
    {
        var length = (ulong)file.Length;
        if (offset > length || size > length - offset)
            throw new InvalidDataException(
                $"{name} is truncated: its headers describe {size} bytes at offset {offset}, but it is {length} bytes long.");
    }
}
