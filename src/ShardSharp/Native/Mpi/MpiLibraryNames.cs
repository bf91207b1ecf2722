namespace ShardSharp.Native;

/// <summary>Under which names MPI libraries are installed.</summary>
internal static class MpiLibraryNames
{
    /// <summary>The environment variable that names the library to load, by name or path, instead of all others.</summary>
    public const string Variable = "SHARDSHARP_MPI_LIBRARY";

    /// <summary>Open MPI 3 to 5.</summary>
    private const string OpenMpi = "libmpi.so.40";

    /// <summary>MPICH (by its Debian name, then that of its binary interface), Intel MPI, MVAPICH; Cray MPICH.</summary>
    private static readonly string[] Mpich = ["libmpich.so.12", "libmpi.so.12", "libmpi_cray.so.12"];

    /// <summary>The standard binary interface of MPI 5; the version of a file name is that of the interface.</summary>
    private static readonly string[] Standard = ["libmpi_abi.so.1", "libmpi_abi.so.0", "libmpi_abi.so"];

    /// <summary>What to try, in order.</summary>
    /// <param name="named">The user's choice; null for none.</param>
    /// <param name="prefersMpich">Whether a process manager of the MPICH family started this process.</param>
    public static IReadOnlyList<string> Candidates(string? named, bool prefersMpich) =>
        !string.IsNullOrEmpty(named) ? [named]
        : prefersMpich ? [.. Mpich, .. Standard, OpenMpi]
        : [OpenMpi, .. Standard, .. Mpich];
}
