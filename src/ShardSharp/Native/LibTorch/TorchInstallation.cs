namespace ShardSharp.Native;

/// <summary>Where an application's native libraries for TorchSharp lie, on Linux x64.</summary>
/// <param name="LibTorch">libtorch's files in an order in which each finds what it needs already loaded.</param>
/// <param name="Binding">TorchSharp's own native library, which needs all of them.</param>
internal sealed record TorchInstallation(IReadOnlyList<string> LibTorch, string Binding)
{
    /// <summary>The release of libtorch that the referenced TorchSharp is compiled against.</summary>
    internal const string LibTorchVersion = "2.10.0";

    private const string BindingFile = "libLibTorchSharp.so";

    private const string Advice =
        $"Add the package libtorch-cpu-linux-x64 {LibTorchVersion} (or TorchSharp-cpu; with NVIDIA GPUs libtorch-cuda-12.8-linux-x64 "
        + $"{LibTorchVersion}) to the application's project and rebuild it.";

    // libtorch's own build of OpenMP has a hash in its file name.
    private static readonly string[] LibTorchFiles = ["libgomp*.so.1", "libc10.so", "libtorch_cpu.so", "libtorch.so"];

    /// <summary>
    /// The folders the runtime itself searches for native libraries (from the application's .deps.json), then where a build and a
    /// published application have them.
    /// </summary>
    public static IReadOnlyList<string> DefaultFolders()
    {
        var searched = AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") as string ?? "";
        string[] built = [Path.Combine(AppContext.BaseDirectory, "runtimes", "linux-x64", "native"), AppContext.BaseDirectory];
        return [.. searched.Split(':', StringSplitOptions.RemoveEmptyEntries).Concat(built)
            .Select(Path.TrimEndingDirectorySeparator).Distinct()];
    }

    /// <summary>
    /// Finds the installation in the first of <paramref name="folders"/> that has any file of libtorch, and checks each file.
    /// </summary>
    /// <exception cref="DllNotFoundException">
    /// A file is missing or damaged; the message names it, the folders and the package to add.
    /// </exception>
    public static TorchInstallation Find(IReadOnlyList<string> folders) =>
        FindIfAny(folders)
        ?? throw new DllNotFoundException(
            $"libtorch is not installed: {string.Join(", ", LibTorchFiles)} are in none of {string.Join(", ", folders)}. {Advice}");

    /// <summary>As <see cref="Find"/>, with null where no folder has any file of libtorch.</summary>
    /// <exception cref="DllNotFoundException">Some file is there, another is missing or damaged.</exception>
    public static TorchInstallation? FindIfAny(IReadOnlyList<string> folders)
    {
        var folder = folders.FirstOrDefault(folder => LibTorchFiles.Any(file => FileIn(folder, file) is not null));
        if (folder is null)
            return null;
        string[] files = [.. LibTorchFiles.Select(file => FileIn(folder, file)
            ?? throw new DllNotFoundException($"libtorch is only half installed: {folder} has no {file}. {Advice}"))];
        var binding = folders.Select(folder => FileIn(folder, BindingFile)).FirstOrDefault(path => path is not null)
            ?? throw new DllNotFoundException(
                $"TorchSharp is only half installed: {BindingFile} is in none of {string.Join(", ", folders)}. Add the package TorchSharp "
                + "to the application's project and rebuild it.");
        foreach (var file in files.Append(binding))
            RequireWhole(file);
        return new TorchInstallation(files, binding);
    }

    private static string? FileIn(string folder, string pattern) =>
        Directory.Exists(folder) ? Directory.EnumerateFiles(folder, pattern).Order(StringComparer.Ordinal).FirstOrDefault() : null;

    private static void RequireWhole(string file)
    {
        try
        {
            using var stream = File.OpenRead(file);
            ElfHeader.Read(stream, file);
        }
        catch (Exception failure) when (failure is InvalidDataException or IOException or UnauthorizedAccessException)
        {
            throw new DllNotFoundException(
                $"{failure.Message} Restore its package anew (libtorch-cpu-linux-x64, libtorch-cuda-12.8-linux-x64 or TorchSharp): delete "
                + "the package's folder in the NuGet cache and the application's output folder, then build again.",
                failure);
        }
    }
}
