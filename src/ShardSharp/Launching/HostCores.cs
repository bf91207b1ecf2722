using System.Diagnostics;

namespace ShardSharp.Launching;

/// <summary>Divides the cores of this host among its ranks.</summary>
internal static class HostCores
{
    /// <summary>The cores this process may use: its affinity mask and its container's limit are taken into account.</summary>
    public static int Available => Environment.ProcessorCount;

    /// <summary>Compute threads each rank gets.</summary>
    /// <param name="localRanks">Ranks on this host, at least 1.</param>
    /// <param name="cores">Cores to divide.</param>
    /// <returns>The cores divided evenly, rounded down, at least 1.</returns>
    public static int ThreadsPerRank(int localRanks, int cores)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(localRanks, 1);
        return Math.Max(1, cores / localRanks);
    }

    /// <summary>Keeps this process on its share of the cores, so that the system does not put two ranks' work on one core while another idles.</summary>
    /// <param name="localRank">Rank on this host.</param>
    /// <param name="localRanks">Ranks on this host.</param>
    /// <param name="threads">Compute threads of each rank.</param>
    /// <remarks>
    /// Only where the cores are enough for all threads. Threads take over the cores of the thread that starts them, so this comes first.
    /// </remarks>
    public static void Pin(int localRank, int localRanks, int threads)
    {
        if (!OperatingSystem.IsLinux() || localRanks == 1)
            return;
        using var process = Process.GetCurrentProcess();
        if (ShareOf((ulong)process.ProcessorAffinity, localRank, localRanks, threads) is { } share)
            process.ProcessorAffinity = (nint)share;
    }

    /// <summary>The cores of one rank out of a mask of those that all may use; null where they are too few.</summary>
    internal static ulong? ShareOf(ulong available, int localRank, int localRanks, int threads)
    {
        int[] cores = [.. Enumerable.Range(0, 64).Where(core => (available >> core & 1) != 0)];
        var share = cores.Length / localRanks;
        return share < threads
            ? null
            : cores.Skip(localRank * share).Take(share).Aggregate(0UL, (mask, core) => mask | (1UL << core));
    }
}
