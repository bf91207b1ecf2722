using ShardSharp.Native;

namespace ShardSharp.Tests.Native;

/// <summary>The real libLibTorchSharp.so, which TorchSharp's package puts into every output folder whatever the platform.</summary>
internal static class BindingImage
{
    public const string CppLibrary = "libstdc++.so.6";

    public static string Location { get; } =
        Path.Combine(AppContext.BaseDirectory, "runtimes", "linux-x64", "native", "libLibTorchSharp.so");

    public static byte[] Read() => File.ReadAllBytes(Location);

    /// <summary>A pretended system whose newest GLIBCXX version is 3.4.<paramref name="newest"/>.</summary>
    public static DefinedSymbols Host(int newest)
    {
        const string Prefix = "GLIBCXX_3.4.";
        var versions = new ElfImage(Read(), "binding").ReadVersionNeeds()
            .Where(need => need.File == CppLibrary)
            .Select(need => need.Version)
            .Where(version => !version.StartsWith(Prefix, StringComparison.Ordinal)
                || int.Parse(version[Prefix.Length..], System.Globalization.CultureInfo.InvariantCulture) <= newest)
            .ToHashSet();
        string[] ofWait = newest >= 30 ? ["GLIBCXX_3.4.11", "GLIBCXX_3.4.30"] : ["GLIBCXX_3.4.11"];
        return new DefinedSymbols($"a system with GLIBCXX_3.4.{newest}", versions, ofWait.ToLookup(_ => Wait));
    }

    public const string Wait = "_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE";

    public const string StreamInitializer = "_ZSt21ios_base_library_initv";
}
