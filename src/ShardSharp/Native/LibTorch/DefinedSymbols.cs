namespace ShardSharp.Native;

/// <summary>What a library offers to others: the symbol versions it defines, and each symbol's versions.</summary>
/// <param name="Library">The library's name or path, for messages.</param>
/// <param name="Versions">Every version defined, such as <c>GLIBCXX_3.4.30</c>.</param>
/// <param name="SymbolVersions">For each symbol the versions it can be bound to.</param>
internal sealed record DefinedSymbols(string Library, IReadOnlySet<string> Versions, ILookup<string, string> SymbolVersions)
{
    /// <summary>Reads them from a library's image.</summary>
    /// <exception cref="InvalidDataException">The image is malformed.</exception>
    public static DefinedSymbols Of(ElfImage image)
    {
        var definitions = image.ReadVersionDefinitions();
        var symbols = image.ReadDynamicSymbols()
            .Where(symbol => symbol.IsDefined && definitions.ContainsKey(symbol.VersionIndex))
            .ToLookup(symbol => symbol.Name, symbol => definitions[symbol.VersionIndex]);
        return new DefinedSymbols(image.Name, definitions.Values.ToHashSet(), symbols);
    }
}
