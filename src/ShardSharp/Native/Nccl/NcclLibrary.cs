using System.Runtime.InteropServices;

namespace ShardSharp.Native;

/// <summary>The NCCL library of this process.</summary>
/// <param name="File">The name or path under which it was found.</param>
/// <param name="Version">Its version: 2.26.2 is 22602.</param>
/// <param name="EntryPoints">Its functions.</param>
internal sealed record NcclLibrary(string File, int Version, INcclEntryPoints EntryPoints)
{
    /// <summary>The environment variable that names the library to load, by name or path, instead of all others.</summary>
    public const string Variable = "SHARDSHARP_NCCL_LIBRARY";

    private const string Name = "libnccl.so.2";

    /// <summary>The library in words: <c>NCCL 2.26.2 (libnccl.so.2)</c>.</summary>
    public string Description => $"NCCL {Version / 10000}.{Version / 100 % 100}.{Version % 100} ({File})";

    /// <summary>What to try, in order: the system's library, one beside libtorch, and libtorch itself, which may have been built with NCCL in it.</summary>
    /// <param name="named">The user's choice; null for none.</param>
    /// <param name="folders">Where the application has native libraries.</param>
    public static IReadOnlyList<string> Candidates(string? named, IReadOnlyList<string> folders) => !string.IsNullOrEmpty(named)
        ? [named]
        : [Name, .. new[] { Name, TorchStreams.File }.SelectMany(file => folders.Select(folder => Path.Combine(folder, file))).Where(System.IO.File.Exists)];

    /// <summary>Loads the first of several libraries that is there and has NCCL in it; loading it again gives the same one.</summary>
    /// <exception cref="DllNotFoundException">None has; the message says what was tried.</exception>
    /// <exception cref="NotSupportedException">The library found is too old.</exception>
    public static NcclLibrary Load(IReadOnlyList<string> candidates)
    {
        var reasons = new List<string>();
        foreach (var file in candidates)
        {
            if (!NativeLibrary.TryLoad(file, out var handle))
                reasons.Add($"{file} (does not load)");
            else if (!NativeLibrary.TryGetExport(handle, "ncclGetVersion", out _))
                reasons.Add($"{file} (has no NCCL in it)");
            else
                return Describe(file, name => NativeLibrary.TryGetExport(handle, name, out var address) ? address : 0);
        }

        throw new DllNotFoundException(
            $"No NCCL library was found. Install NVIDIA's NCCL (package libnccl2), or name the library in {Variable}. Tried: "
            + $"{string.Join("; ", reasons)}.");
    }

    /// <summary>Takes a library whose functions are found by <paramref name="export"/>, which gives 0 where there is none.</summary>
    internal static unsafe NcclLibrary Describe(string file, Func<string, nint> export)
    {
        var version = 0;
        var result = ((delegate* unmanaged<int*, NcclResult>)export("ncclGetVersion"))(&version);
        if (result != NcclResult.Success || version < NcclConfiguration.Version)
            throw new NotSupportedException($"{file} is NCCL {version}; ShardSharp needs 2.14 ({NcclConfiguration.Version}) or newer.");
        return new NcclLibrary(file, version, new NcclEntryPoints(name => export(name) is var address and not 0
            ? address
            : throw new NotSupportedException($"{file} has no {name}: it is not a whole NCCL library.")));
    }
}
