using System.Buffers.Binary;
using System.Text;

namespace ShardSharp.Native;

/// <summary>
/// Makes a library that was linked against a newer libstdc++ load with the older one of this system, by changing a copy of its image:
/// the same fields a linker would have written against the older library, and nothing else.
/// <para>
/// A version the system lacks is replaced by the newest one it has, because the dynamic linker refuses an image for an unknown version
/// alone. Each symbol that was bound to it is bound to a version in which the system does offer it (<c>condition_variable::wait</c> is
/// GLIBCXX_3.4.30 since GCC 12 and was GLIBCXX_3.4.11 before), or, where the system has no such symbol at all but can do without, to a
/// harmless function.
/// </para>
/// Source: Linux Standard Base Core specification, "Symbol Versioning"; System V ABI, "Hash Table" (the version's hash).
/// </summary>
internal static class SymbolVersionRewrite
{
    // Called as void(void) by the static initialisers of code compiled with GCC 13 to have std::cout and its kin constructed.
    // libtorch, compiled with an older GCC, constructs them itself (std::ios_base::Init), as every older libstdc++ expects.
    private const string OptionalInitializer = "_ZSt21ios_base_library_initv";

    // Takes and returns a register, touches nothing else: harmless to call as void(void).
    private const string HarmlessFunction = "floor";

    /// <summary>
    /// Adapts <paramref name="image"/> to a system whose <paramref name="file"/> offers <paramref name="offered"/>.
    /// </summary>
    /// <param name="image">The library to load; not changed.</param>
    /// <param name="file">The shared object name whose versions matter, such as <c>libstdc++.so.6</c>.</param>
    /// <param name="offered">What the system's copy of that file defines.</param>
    /// <returns>The adapted copy, or the image's own bytes where the system lacks nothing.</returns>
    /// <exception cref="InvalidDataException">The image is malformed.</exception>
    /// <exception cref="NotSupportedException">The system's library lacks a symbol that cannot be done without.</exception>
    public static byte[] Apply(ElfImage image, string file, DefinedSymbols offered)
    {
        List<VersionNeed> needs = [.. image.ReadVersionNeeds().Where(need => need.File == file)];
        List<VersionNeed> missing = [.. needs.Where(need => !offered.Versions.Contains(need.Version))];
        if (missing.Count == 0)
            return image.Bytes;

        byte[] bytes = [.. image.Bytes];
        List<VersionNeed> present = [.. needs.Except(missing)];
        var symbols = image.ReadDynamicSymbols();
        foreach (var need in missing)
        {
            foreach (var symbol in symbols.Where(symbol => !symbol.IsDefined && symbol.VersionIndex == need.Index))
                Rebind(bytes, symbol, Replacement(symbol, need));
            Rename(bytes, need, NewestLike(need));
        }

        return bytes;

        ElfSymbol Replacement(ElfSymbol symbol, VersionNeed need)
        {
            var older = present.Find(candidate => offered.SymbolVersions[symbol.Name].Contains(candidate.Version));
            if (older is not null)
                return symbol with { VersionIndex = older.Index };
            var harmless = symbol.Name == OptionalInitializer
                ? symbols.FirstOrDefault(candidate => !candidate.IsDefined && candidate.Name == HarmlessFunction)
                : null;
            return harmless ?? throw Unsupported($"the symbol {symbol.Name} in version {need.Version}");
        }

        VersionNeed NewestLike(VersionNeed need) =>
            present.Where(candidate => Family(candidate.Version) == Family(need.Version)).MaxBy(candidate => Number(candidate.Version))
            ?? throw Unsupported($"{need.Version} and every older version of it");

        NotSupportedException Unsupported(string what) => new(
            $"{image.Name} needs {what} from {file}, which {offered.Library} does not have. "
            + "Update the system's C++ library (GCC 13 or newer has it).");
    }

    /// <summary>The hash by which the dynamic linker compares version names: the System V ABI's hash function for symbol names.</summary>
    internal static uint Hash(string name)
    {
        uint hash = 0;
        foreach (var character in Encoding.UTF8.GetBytes(name))
        {
            hash = (hash << 4) + character;
            var high = hash & 0xf0000000;
            hash = (hash ^ (high >> 24)) & ~high;
        }

        return hash;
    }

    private static void Rebind(byte[] bytes, ElfSymbol symbol, ElfSymbol replacement)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan((int)symbol.EntryOffset), replacement.NameOffset);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan((int)symbol.VersionOffset), replacement.VersionIndex);
    }

    private static void Rename(byte[] bytes, VersionNeed need, VersionNeed replacement)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan((int)need.EntryOffset), Hash(replacement.Version));
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan((int)need.EntryOffset + 8), replacement.NameOffset);
    }

    private static string Family(string version) => version[..(version.LastIndexOf('_') + 1)];

    private static Version Number(string version) =>
        Version.TryParse(version[(version.LastIndexOf('_') + 1)..], out var number) ? number : new Version();
}
