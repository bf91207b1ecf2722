using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace ShardSharp.Native;

/// <summary>How glibc's malloc deals with the system: mallopt(3).</summary>
[SupportedOSPlatform("linux")]
internal static partial class GlibcHeap
{
    private const int TrimThreshold = -1;
    private const int MapThreshold = -3;

    /// <summary>
    /// Has the heap keep what is freed, for good, and serve what it can (blocks up to 32 MiB) instead of mapping it. A training step needs
    /// again what the one before it has freed, and memory that goes to the system and comes back is zeroed page by page each time.
    /// </summary>
    public static void KeepFreedMemory()
    {
        const int Never = -1;
        const int LargestAllowed = 32 << 20;
        _ = SetOption(TrimThreshold, Never);
        _ = SetOption(MapThreshold, LargestAllowed);
    }

    [LibraryImport("libc", EntryPoint = "mallopt")]
    private static partial int SetOption(int option, int value);
}
