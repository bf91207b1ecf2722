using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace ShardSharp.Native;

/// <summary>Waiting in the kernel until another thread or process changes a word of shared memory: futex(2).</summary>
[SupportedOSPlatform("linux")]
internal static unsafe partial class Futex
{
    private const int Wait = 0;
    private const int Wake = 1;

    /// <summary>Number of the system call on x86-64 and on the generic table that arm64 uses.</summary>
    private static nint CallNumber => RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 202 : 98;

    /// <summary>Sleeps while <paramref name="word"/> holds <paramref name="expected"/>; returns early for any reason at all.</summary>
    public static void WaitWhile(int* word, int expected, TimeSpan atMost)
    {
        var timeout = new Timespec { Seconds = (long)atMost.TotalSeconds, Nanoseconds = (long)(atMost.TotalNanoseconds % 1e9) };
        _ = SystemCall(CallNumber, word, Wait, expected, &timeout, null, 0);
    }

    /// <summary>Wakes everyone who sleeps on <paramref name="word"/>.</summary>
    public static void WakeAll(int* word) => _ = SystemCall(CallNumber, word, Wake, int.MaxValue, null, null, 0);

    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial nint SystemCall(nint number, int* word, int operation, int value, Timespec* timeout, int* second, int third);

    private struct Timespec
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
