using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace ShardSharp.Tests.Stress;

/// <summary>What this process holds at a moment when none of its ranks does anything.</summary>
/// <param name="Managed">Bytes that a full collection leaves.</param>
/// <param name="Native">Bytes in use that malloc gave out (mallinfo2(3)).</param>
/// <param name="Proportional">Proportional set size in bytes: shared pages count in equal parts for all that share them.</param>
/// <param name="Resident">Resident set size in bytes.</param>
/// <param name="Descriptors">Open file descriptors, without those of assemblies, which .NET opens when they are first needed.</param>
/// <param name="Mappings">Lines of /proc/self/maps.</param>
/// <param name="Regions">Those of them that are memory of groups of processes.</param>
/// <param name="Threads">Threads.</param>
internal sealed partial record StressCensus(
    long Managed, long Native, long Proportional, long Resident, int Descriptors, int Mappings, int Regions, int Threads)
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
        string[] mappings = [.. File.ReadLines("/proc/self/maps")];
        return new StressCensus(
            GC.GetTotalMemory(forceFullCollection: false),
            (long)(heap[HeapInfo.BytesInUse] + heap[HeapInfo.MappedBytes]),
            Kibibytes("/proc/self/smaps_rollup", "Pss:"),
            Kibibytes("/proc/self/status", "VmRSS:"),
            new DirectoryInfo("/proc/self/fd").EnumerateFileSystemInfos().Count(file => file.LinkTarget?.EndsWith(".dll", StringComparison.Ordinal) == false),
            mappings.Length,
            mappings.Count(line => line.Contains("/memfd:shardsharp ", StringComparison.Ordinal)),
            Directory.EnumerateDirectories("/proc/self/task").Count());
    }

    /// <summary>Says what has grown since the start of a run; null where nothing has.</summary>
    /// <remarks>
    /// The least of the last three counts against the most of the second to fourth: what rises and falls is no growth, and what a run needs
    /// once it has needed by then. The tolerances are for what .NET compiles late, and for buffers that a group keeps from the first call that
    /// needs them, 4 MiB at most each; a tensor that every tenth call forgot would be more.
    /// </remarks>
    public static string? Growth(IReadOnlyList<StressCensus> phases)
    {
        (string What, Func<StressCensus, long> Of, long Tolerance)[] counts =
        [
            ("managed memory", census => census.Managed, 128 << 10),
            ("native memory", census => census.Native, 12 << 20),
            ("proportional set size", census => census.Proportional, 48 << 20),
            ("descriptors", census => census.Descriptors, 0),
            ("mappings", census => census.Mappings, 32),
            ("shared memory", census => census.Regions, 0),
            ("threads", census => census.Threads, 1),
        ];
        foreach (var (what, of, tolerance) in counts)
        {
            var (early, late) = (phases.Skip(1).Take(3).Max(of), phases.TakeLast(3).Min(of));
            if (late > early + tolerance)
                return $"{what} grew from {early} to {late}";
        }

        return null;
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"managed {Managed / 1024.0:F0} KiB, native {Native / 1024.0:F0} KiB, PSS {Proportional >> 10} KiB, RSS {Resident >> 10} KiB, "
        + $"{Descriptors} descriptors, {Mappings} mappings ({Regions} shared), {Threads} threads");

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
