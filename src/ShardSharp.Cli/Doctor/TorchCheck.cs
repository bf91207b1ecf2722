using System.Text.RegularExpressions;
using ShardSharp.Native;

namespace ShardSharp.Cli.Doctor;

/// <summary>libtorch and TorchSharp's native library as an application has them: where, which, and whether they load.</summary>
internal static partial class TorchCheck
{
    private const string Topic = "C++ library";
    private const string CppLibrary = "libstdc++.so.6";

    public static IEnumerable<Finding> Run(string application)
    {
        if (!OperatingSystem.IsLinux() || System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture is not System.Runtime.InteropServices.Architecture.X64)
            return [Finding.Ok("libtorch", "TorchSharp loads it by itself on this system")];
        try
        {
            var folders = Folders(Path.GetFullPath(application)).ToList();
            return TorchInstallation.FindIfAny(folders) is { } installation
                ? [Found(installation, folders), CppVersion(installation), Loads(installation)]
                : [Finding.Warning("libtorch", $"none below {Path.GetFullPath(application)}",
                    "Build the program, then point doctor at it: --application FOLDER. Its project needs the package libtorch-cpu-linux-x64.")];
        }
        catch (DllNotFoundException broken)
        {
            return [Finding.Problem("libtorch", broken.Message, "See above; then build the program again.")];
        }
    }

    /// <summary>Where a built or published program has native libraries, in its folder or below that of its project.</summary>
    private static IEnumerable<string> Folders(string application)
    {
        var bin = Path.Combine(application, "bin");
        var built = Directory.Exists(bin)
            ? Directory.EnumerateFiles(bin, "*.deps.json", SearchOption.AllDirectories).Select(file => Path.GetDirectoryName(file)!)
                .OrderByDescending(Directory.GetLastWriteTimeUtc)
            : Enumerable.Empty<string>();
        return built.Prepend(application).SelectMany(folder => new[] { Path.Combine(folder, "runtimes", "linux-x64", "native"), folder });
    }

    private static Finding Found(TorchInstallation installation, List<string> folders)
    {
        var place = Path.GetDirectoryName(installation.LibTorch[0])!;
        var version = folders.Where(folder => place.StartsWith(folder, StringComparison.Ordinal) && Directory.Exists(folder))
            .SelectMany(folder => Directory.EnumerateFiles(folder, "*.deps.json"))
            .Select(file => PackageVersion().Match(File.ReadAllText(file))).FirstOrDefault(match => match.Success)?.Groups[1].Value;
        var what = $"{version ?? "unknown version"} in {place}";
        return version is null || version.StartsWith(TorchInstallation.LibTorchVersion, StringComparison.Ordinal)
            ? Finding.Ok("libtorch", what)
            : Finding.Problem("libtorch", what, $"TorchSharp needs {TorchInstallation.LibTorchVersion}: reference that version of the package.");
    }

    private static Finding CppVersion(TorchInstallation installation)
    {
        var needs = new ElfImage(File.ReadAllBytes(installation.Binding), installation.Binding).ReadVersionNeeds()
            .Where(need => need.File == CppLibrary).Select(need => need.Version);
        if (LoadedLibraries.Find(CppLibrary) is not { } system)
            return Finding.Problem(Topic, $"{CppLibrary} is not loaded", "Install the C++ library of the system (Debian: libstdc++6).");
        var (needed, has) = (Newest(needs), Newest(new ElfImage(File.ReadAllBytes(system), system).ReadVersionDefinitions().Values));
        return Finding.Ok(Topic, has >= needed
            ? $"GLIBCXX_{has}; TorchSharp needs GLIBCXX_{needed}"
            : $"GLIBCXX_{has}; TorchSharp needs GLIBCXX_{needed}, so it is adapted in memory as it is loaded");
    }

    private static Finding Loads(TorchInstallation installation)
    {
        try
        {
            TorchLibrary.LoadFrom(installation);
            return Finding.Ok("TorchSharp", $"{installation.Binding} loads");
        }
        catch (DllNotFoundException failure)
        {
            return Finding.Problem("TorchSharp", failure.Message, "Restore its packages anew, or use a newer system.");
        }
    }

    private static Version Newest(IEnumerable<string> versions) => versions.Where(version => version.StartsWith("GLIBCXX_3", StringComparison.Ordinal))
        .Max(version => Version.Parse(version["GLIBCXX_".Length..])) ?? new Version();

    [GeneratedRegex("\"libtorch-c[^/\"]*linux-x64[^/\"]*/([0-9.]+)")]
    private static partial Regex PackageVersion();
}
