using System.Globalization;
using ShardSharp.Communication.Local;

namespace ShardSharp.Cli.Doctor;

/// <summary>Memory: how much, whether processes can share it, and the limits on both.</summary>
internal static class MemoryCheck
{
    private const long EnoughSharedMemory = 1L << 30;
    private const long EnoughFiles = 1024;

    public static IEnumerable<Finding> Run(DoctorHost host) =>
        [Sharing(), .. DeviceRoom(host), Amount(host), .. Limits(host.Read("/proc/self/limits"))];

    private static Finding Sharing()
    {
        if (!OperatingSystem.IsLinux())
        {
            return Finding.Warning("shared memory", "ranks as processes need Linux", "Run ranks as threads of one process: --backend threads.");
        }

        try
        {
            using var region = SharedMemoryRegion.Create("shardsharp doctor", 1 << 20);
            using var same = SharedMemoryRegion.Open(region.Path, 1 << 20);
            return Finding.Ok("shared memory", "anonymous files (memfd) can be created, mapped and opened by another process of this user");
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return Finding.Problem("shared memory", failure.Message,
                "Allow memfd_create in the container's seccomp profile and mount /proc; or run ranks as threads: --backend threads.");
        }
    }

    private static IEnumerable<Finding> DeviceRoom(DoctorHost host)
    {
        const string Folder = "/dev/shm";
        if (host.Room(Folder) is not var (total, free))
            yield break;
        var what = $"{ProcText.Size(total)}, {ProcText.Size(free)} free; ShardSharp itself does not use it, MPI and NCCL do";
        yield return total < EnoughSharedMemory
            ? Finding.Warning(Folder, what, "For MPI or NCCL give the container more: docker run --shm-size=8g, or --ipc=host.")
            : Finding.Ok(Folder, what);
    }

    private static Finding Amount(DoctorHost host)
    {
        var text = host.Read("/proc/meminfo");
        var (total, available) = (Kilobytes(ProcText.Value(text, "MemTotal")), Kilobytes(ProcText.Value(text, "MemAvailable")));
        if (total is null)
            return Finding.Warning("memory", "the system does not tell how much there is", "Mount /proc.");
        var limit = long.TryParse(host.Read("/sys/fs/cgroup/memory.max"), CultureInfo.InvariantCulture, out var bytes) ? bytes : (long?)null;
        var what = $"{ProcText.Size(total.Value)}, {ProcText.Size(available ?? 0)} available"
            + (limit < total ? $"; the container's limit is {ProcText.Size(limit.Value)}, memory shared by ranks included" : "");
        return Math.Min(limit ?? long.MaxValue, available ?? 0) < EnoughSharedMemory
            ? Finding.Warning("memory", what, "libtorch alone takes some 300 MiB in every rank: use fewer ranks or raise the limit.")
            : Finding.Ok("memory", what);
    }

    /// <summary>The soft limits of /proc/self/limits that runs meet: name, then soft, hard and unit in columns.</summary>
    private static IEnumerable<Finding> Limits(string? text)
    {
        if (Soft(text, "Max open files") is { } files)
        {
            var what = $"{(files == long.MaxValue ? "no limit" : $"{files}")} (ulimit -n)";
            yield return files < EnoughFiles
                ? Finding.Warning("open files", what, $"Raise it: ulimit -n {EnoughFiles}.") : Finding.Ok("open files", what);
        }

        if (Soft(text, "Max address space") is { } space and < long.MaxValue)
        {
            yield return Finding.Problem("address space", $"{ProcText.Size(space)} (ulimit -v)",
                "The .NET runtime and shared memory reserve far more addresses than they use: ulimit -v unlimited.");
        }
    }

    private static long? Soft(string? text, string name)
    {
        var line = text?.Split('\n').FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal));
        return line?[name.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries) is not [var soft, ..] ? null
            : long.TryParse(soft, CultureInfo.InvariantCulture, out var number) ? number : long.MaxValue;
    }

    private static long? Kilobytes(string? text) =>
        long.TryParse(text?.Split(' ')[0], CultureInfo.InvariantCulture, out var number) ? number * 1024 : null;
}
