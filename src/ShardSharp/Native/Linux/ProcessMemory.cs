using System.Globalization;

namespace ShardSharp.Native;

/// <summary>The memory of this process as the kernel counts it (proc(5)).</summary>
internal static class ProcessMemory
{
    /// <summary>Bytes of resident pages that belong to files or shared memory. Cheap: the kernel keeps the number.</summary>
    public static long ResidentSharedBytes
    {
        get
        {
            // size resident shared text lib data dt, in pages.
            var fields = File.ReadAllText("/proc/self/statm").Split(' ');
            return long.Parse(fields[2], CultureInfo.InvariantCulture) * Environment.SystemPageSize;
        }
    }

    /// <summary>
    /// Bytes of all resident pages, each divided by the number of processes that have it; and of those that belong to shared memory. The
    /// kernel walks the page tables for it, which takes milliseconds.
    /// </summary>
    public static (long All, long SharedMemory) ProportionalSet
    {
        get
        {
            var lines = File.ReadAllLines("/proc/self/smaps_rollup");
            return (Of("Pss:"), Of("Pss_Shmem:"));

            long Of(string key)
            {
                var line = lines.First(line => line.StartsWith(key, StringComparison.Ordinal));
                return long.Parse(line[key.Length..].Trim().Split(' ')[0], CultureInfo.InvariantCulture) * 1024;
            }
        }
    }
}
