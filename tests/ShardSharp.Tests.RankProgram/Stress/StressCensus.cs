using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace ShardSharp.Tests.Stress;

/// <summary>What this process holds at a moment when none of its ranks does anything.</summary>
/// <param name="Managed">Bytes that a full collection leaves.</param>
/// <param name="Native">Bytes in use that malloc gave out (mallinfo2(3)).</param>
/// <param name="Proportional">Proportional set size in bytes: shared pages count in equal parts for all that share them.</param>
/// <param name="Resident">Resident set size in bytes.</param>
/// <param name="Descriptors">Open file descriptors.</param>
/// <param name="Mappings">Lines of /proc/self/maps.</param>
/// <param name="Threads">Threads.</param>
internal sealed partial record StressCensus(
    long Managed, long Native, long Proportional, long Resident, int Descriptors, int Mappings, int Threads)
{
    public static StressCensus Take()
    {
        // Tensors that nobody disposed, of earlier phases, have finalizers: twice, so that what they held is gone as well.
        for (var i = 0; i < 2; i++)
        {
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Forced, blocking: true, compacting: true);
            GC.WaitForPendingFinalizers();
        }

        var heap = MallInfo2();
        return new StressCensus(
            GC.GetTotalMemory(forceFullCollection: false),
            (long)(heap[HeapInfo.BytesInUse] + heap[HeapInfo.MappedBytes]),
            Kibibytes("/proc/self/smaps_rollup", "Pss:"),
            Kibibytes("/proc/self/status", "VmRSS:"),
            Directory.EnumerateFileSystemEntries("/proc/self/fd").Count(),
            File.ReadLines("/proc/self/maps").Count(),
            Directory.EnumerateDirectories("/proc/self/task").Count());
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"managed {Managed / 1024.0:F0} KiB, native {Native / 1024.0:F0} KiB, PSS {Proportional >> 10} KiB, RSS {Resident >> 10} KiB, "
        + $"{Descriptors} descriptors, {Mappings} mappings, {Threads} threads");

    /// <summary>A number of a file of proc(5), in bytes: <c>Pss:   1234 kB</c>.</summary>
    private static long Kibibytes(string file, string key)
    {
        var line = File.ReadLines(file).First(line => line.StartsWith(key, StringComparison.Ordinal));
        return long.Parse(line[key.Length..^2].Trim(), CultureInfo.InvariantCulture) << 10;
    }

    [LibraryImport("libc", EntryPoint = "mallinfo2")]
    private static partial HeapInfo MallInfo2();

    /// <summary>struct mallinfo2: ten counters of bytes and blocks, by their place.</summary>
    [InlineArray(10)]
    private struct HeapInfo
    {
        public const int MappedBytes = 4;  // hblkhd
        public const int BytesInUse = 7;   // uordblks

        private nuint _first;
    }
}
