using System.Buffers.Binary;
using System.Text;

namespace ShardSharp.Native;

/// <summary>
/// Reads the dynamic symbols of a 64-bit x86 shared object held in memory, with the versions they want or offer.
/// Every access is checked: a malformed image gives an <see cref="InvalidDataException"/> that names it.
/// Layouts: System V ABI, "ELF-64 Object File Format" (sections, symbols); Linux Standard Base Core specification,
/// "Symbol Versioning" (Elfxx_Verneed, Elfxx_Vernaux, Elfxx_Verdef, Elfxx_Verdaux, .gnu.version).
/// </summary>
internal sealed class ElfImage
{
    private const uint DynamicSymbolTable = 11;             // SHT_DYNSYM
    private const uint VersionDefinitionTable = 0x6ffffffd; // SHT_GNU_verdef
    private const uint VersionNeedTable = 0x6ffffffe;       // SHT_GNU_verneed
    private const uint SymbolVersionTable = 0x6fffffff;     // SHT_GNU_versym
    private const int SymbolSize = 24;
    private const int VersionNeedSize = 16;
    private const ushort VersionIndexMask = 0x7fff;         // the top bit hides a definition from unversioned references

    private readonly byte[] _bytes;
    private readonly List<Section> _sections = [];

    /// <summary>Wraps <paramref name="bytes"/>, which are not copied; <paramref name="name"/> is for messages.</summary>
    /// <exception cref="InvalidDataException">The bytes are not a whole shared object for x86-64.</exception>
    public ElfImage(byte[] bytes, string name)
    {
        _bytes = bytes;
        Name = name;
        var header = ElfHeader.Read(bytes, name);
        for (var i = 0; i < header.SectionCount; i++)
        {
            var entry = header.SectionTableOffset + (i * (long)ElfHeader.SectionEntrySize);
            _sections.Add(new Section(
                Type: ReadUInt32(entry + 4),
                Offset: (long)ReadUInt64(entry + 24),
                Size: (long)ReadUInt64(entry + 32),
                Link: ReadUInt32(entry + 40),
                Info: ReadUInt32(entry + 44)));
        }
    }

    /// <summary>The file's name, for messages.</summary>
    public string Name { get; }

    /// <summary>The image itself.</summary>
    public byte[] Bytes => _bytes;

    /// <summary>The symbols of .dynsym in order, each with its entry of .gnu.version.</summary>
    public IReadOnlyList<ElfSymbol> ReadDynamicSymbols()
    {
        var table = Find(DynamicSymbolTable) ?? throw Malformed("it has no dynamic symbol table");
        var versions = Find(SymbolVersionTable) ?? throw Malformed("its dynamic symbols have no versions");
        var symbols = new List<ElfSymbol>();
        for (var i = 0; i < table.Size / SymbolSize; i++)
        {
            var entry = table.Offset + (i * (long)SymbolSize);
            var version = versions.Offset + (i * (long)sizeof(ushort));
            var name = ReadUInt32(entry);
            var index = (ushort)(ReadUInt16(version) & VersionIndexMask);
            symbols.Add(new ElfSymbol(ReadString(table, name), name, index, IsDefined: ReadUInt16(entry + 6) != 0, entry, version));
        }

        return symbols;
    }

    /// <summary>What .gnu.version_r asks of other libraries; empty where the image asks for nothing.</summary>
    public IReadOnlyList<VersionNeed> ReadVersionNeeds()
    {
        var needs = new List<VersionNeed>();
        if (Find(VersionNeedTable) is not { } table)
            return needs;
        var entry = table.Offset;
        for (uint i = 0; i < table.Info; i++)
        {
            var file = ReadString(table, ReadUInt32(entry + 4));
            var auxiliary = entry + ReadUInt32(entry + 8);
            int count = ReadUInt16(entry + 2);
            for (var j = 0; j < count; j++)
            {
                if (needs.Count > table.Size / VersionNeedSize)
                    throw Malformed("it has more version needs than their table has room for");
                var name = ReadUInt32(auxiliary + 8);
                var index = (ushort)(ReadUInt16(auxiliary + 6) & VersionIndexMask);
                needs.Add(new VersionNeed(file, ReadString(table, name), name, index, auxiliary));
                auxiliary = Next(auxiliary, auxiliary + 12, last: j == count - 1);
            }

            entry = Next(entry, entry + 12, last: i == table.Info - 1);
        }

        return needs;
    }

    /// <summary>The versions .gnu.version_d defines, by version index; the file's own name among them (index 1).</summary>
    public IReadOnlyDictionary<ushort, string> ReadVersionDefinitions()
    {
        var definitions = new Dictionary<ushort, string>();
        if (Find(VersionDefinitionTable) is not { } table)
            return definitions;
        var entry = table.Offset;
        for (uint i = 0; i < table.Info; i++)
        {
            // The first auxiliary entry names the version, those after it what it inherits from.
            var auxiliary = entry + ReadUInt32(entry + 12);
            definitions[(ushort)(ReadUInt16(entry + 4) & VersionIndexMask)] = ReadString(table, ReadUInt32(auxiliary));
            entry = Next(entry, entry + 16, last: i == table.Info - 1);
        }

        return definitions;
    }

    private Section? Find(uint type)
    {
        foreach (var section in _sections)
        {
            if (section.Type == type)
                return section;
        }

        return null;
    }

    /// <summary>Follows a link of a chain. Links only lead forward, so a malformed chain runs off the image and ends there.</summary>
    private long Next(long entry, long linkOffset, bool last)
    {
        var link = ReadUInt32(linkOffset);
        return link == 0 && !last ? throw Malformed("a chain of symbol versions ends early") : entry + link;
    }

    /// <summary>The string at <paramref name="offset"/> of the string table that <paramref name="user"/> is linked to.</summary>
    private string ReadString(Section user, uint offset)
    {
        if (user.Link >= _sections.Count)
            throw Malformed("a table names no string table");
        var strings = _sections[(int)user.Link];
        if (offset >= strings.Size)
            throw Malformed($"string {offset} lies outside its table");
        var rest = Read(strings.Offset + offset, strings.Size - offset);
        var length = rest.IndexOf((byte)0);
        return length >= 0 ? Encoding.UTF8.GetString(rest[..length]) : throw Malformed($"string {offset} has no end");
    }

    private ushort ReadUInt16(long offset) => BinaryPrimitives.ReadUInt16LittleEndian(Read(offset, sizeof(ushort)));

    private uint ReadUInt32(long offset) => BinaryPrimitives.ReadUInt32LittleEndian(Read(offset, sizeof(uint)));

    private ulong ReadUInt64(long offset) => BinaryPrimitives.ReadUInt64LittleEndian(Read(offset, sizeof(ulong)));

    private ReadOnlySpan<byte> Read(long offset, long size) =>
        offset >= 0 && size >= 0 && offset <= _bytes.Length && size <= _bytes.Length - offset
            ? _bytes.AsSpan((int)offset, (int)size)
            : throw Malformed($"{size} bytes at offset {offset} lie outside its {_bytes.Length} bytes");

    private InvalidDataException Malformed(string reason) => new($"{Name} is not a well-formed shared library: {reason}.");

    private readonly record struct Section(uint Type, long Offset, long Size, uint Link, uint Info);
}

/// <summary>An entry of .dynsym with its version, and where both lie in the image.</summary>
/// <param name="Name">The linker's name of the symbol.</param>
/// <param name="NameOffset">Where that name lies in .dynstr: the entry's st_name.</param>
/// <param name="VersionIndex">Which need or definition the symbol belongs to; 0 local, 1 unversioned.</param>
/// <param name="IsDefined">False for a symbol that another library has to offer.</param>
/// <param name="EntryOffset">The Elf64_Sym in the image.</param>
/// <param name="VersionOffset">The .gnu.version entry in the image.</param>
internal sealed record ElfSymbol(string Name, uint NameOffset, ushort VersionIndex, bool IsDefined, long EntryOffset, long VersionOffset);

/// <summary>An Elf64_Vernaux: a version that some library must define for the image to load.</summary>
/// <param name="File">The library, by its shared object name.</param>
/// <param name="Version">The version's name.</param>
/// <param name="NameOffset">Where that name lies in .dynstr: the entry's vna_name.</param>
/// <param name="Index">What symbols of this version have in .gnu.version.</param>
/// <param name="EntryOffset">The entry in the image.</param>
internal sealed record VersionNeed(string File, string Version, uint NameOffset, ushort Index, long EntryOffset);
