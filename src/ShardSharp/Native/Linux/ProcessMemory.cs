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
}
