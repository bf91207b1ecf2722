using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace ShardSharp.Native;

/// <summary>How glibc's malloc deals with the system: mallopt(3).</summary>
[SupportedOSPlatform("linux")]
internal static partial class GlibcHeap
{
    private const int TrimThreshold = -1;
    private const int MapThreshold = -3;

    /// <summary>Through these a user decides about the heap; see mallopt(3) and the glibc manual, "Memory Allocation Tunables".</summary>
    private static readonly string[] UserChoices = ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"];

    /// <summary>
    /// Has the heap keep what is freed, for good, and serve what it can (blocks up to 32 MiB) instead of mapping it. A training step needs
    /// again what the one before it has freed, and memory that goes to the system and comes back is zeroed page by page each time.
    /// Where the environment says something about the heap, that holds.
    /// </summary>
    public static void KeepFreedMemory()
    {
        const int Never = -1;
        const int LargestAllowed = 32 << 20;
        if (UserChoices.Any(variable => Environment.GetEnvironmentVariable(variable) is not null))
            return;
        _ = SetOption(TrimThreshold, Never);
        _ = SetOption(MapThreshold, LargestAllowed);
    }

    /// <summary>Gives whole free pages back to the system, wherever in the heap they are: once, when much was freed that will not come again.</summary>
    public static void ReturnFreedMemory() => _ = Trim(0);

    /// <summary>Bytes that programs have got from malloc and not given back, and those that the heap keeps free.</summary>
    public static (long InUse, long Free) Bytes
    {
        get
        {
            var numbers = Information();
            return ((long)(numbers.BytesInUse + numbers.BytesMapped), (long)numbers.BytesFree);
        }
    }

    [LibraryImport("libc", EntryPoint = "mallopt")]
    private static partial int SetOption(int option, int value);

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    private static partial int Trim(nuint kept);

    [LibraryImport("libc", EntryPoint = "mallinfo2")]
    private static partial Numbers Information();

    /// <summary>struct mallinfo2 of mallinfo(3).</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Numbers
    {
        public nuint Arena;
        public nuint FreeChunks;
        public nuint FastBins;
        public nuint Mappings;
        public nuint BytesMapped;
        public nuint Unused;
        public nuint BytesInFastBins;
        public nuint BytesInUse;
        public nuint BytesFree;
        public nuint BytesTrimmable;
    }
}
