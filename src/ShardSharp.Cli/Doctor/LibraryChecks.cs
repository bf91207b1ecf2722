using ShardSharp.Native;

namespace ShardSharp.Cli.Doctor;

/// <summary>Libraries that only some runs need: MPI for many hosts, CUDA and NCCL for GPUs.</summary>
internal static class LibraryChecks
{
    private static readonly (string Library, string Abi)[] MpiLibraries =
    [
        ("libmpi_abi.so.0", "the standard ABI of MPI 5"),
        ("libmpi_abi.so", "the standard ABI of MPI 5"),
        ("libmpi.so.40", "the ABI of Open MPI 4 and 5"),
        ("libmpi.so.12", "the MPICH ABI (MPICH, Intel MPI, MVAPICH, Cray)"),
        ("libmpich.so.12", "the MPICH ABI (MPICH)"),
    ];

    public static IEnumerable<Finding> Run(DoctorHost host)
    {
        var found = MpiLibraries.Select(known => (known.Abi, Path: host.FindLibrary(known.Library))).Where(known => known.Path is not null)
            .DistinctBy(known => known.Path).ToList();
        foreach (var (abi, path) in found)
            yield return Finding.Ok("MPI", $"{path} has {abi}");
        var launcher = host.FindProgram("mpirun") ?? host.FindProgram("mpiexec");
        if (found.Count == 0 && launcher is not null)
        {
            yield return Finding.Warning("MPI", $"{launcher} is there, but no MPI library loads",
                "Install the library that belongs to it (Debian: libopenmpi3t64 or libmpich12), or add its folder to LD_LIBRARY_PATH.");
        }
        else if (found.Count == 0)
        {
            yield return Finding.Ok("MPI", "not installed; only runs on several hosts need it");
        }
        else if (launcher is null)
        {
            yield return Finding.Warning("mpirun", "not on PATH",
                "Install the launcher that belongs to the library (Debian: openmpi-bin or mpich), or add its folder to PATH.");
        }
        else
        {
            yield return Finding.Ok("mpirun", launcher);
        }

        var driver = host.FindLibrary("libcuda.so.1");
        yield return Finding.Ok("CUDA driver", driver ?? "not installed; only GPUs need it");
        yield return Nccl(host, driver is not null);
    }

    private static Finding Nccl(DoctorHost host, bool isNeeded)
    {
        try
        {
            return host.FindNccl(host.Environment.GetValueOrDefault(NcclLibrary.Variable)) is { } found ? Finding.Ok("NCCL", found)
                : !isNeeded ? Finding.Ok("NCCL", "not installed; only GPUs need it")
                : Finding.Warning("NCCL", "not installed, so GPUs cannot communicate directly unless the application's libtorch has it built in",
                    $"Install NVIDIA's NCCL (package libnccl2), or name the library in {NcclLibrary.Variable}.");
        }
        catch (NotSupportedException tooOld)
        {
            return Finding.Problem("NCCL", tooOld.Message, "Install a newer libnccl2.");
        }
    }
}
