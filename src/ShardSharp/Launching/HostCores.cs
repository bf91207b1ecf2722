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
}
