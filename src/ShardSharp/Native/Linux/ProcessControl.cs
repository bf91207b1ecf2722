using System.Runtime.InteropServices;

namespace ShardSharp.Native;

/// <summary>The calls of the C library that govern processes.</summary>
internal static partial class ProcessControl
{
    public const int KillSignal = 9;
    public const int TerminateSignal = 15;
    public const int SetParentDeathSignal = 1; // PR_SET_PDEATHSIG of <linux/prctl.h>
    public const int NoSuchProcess = 3;        // ESRCH

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    public static partial int Send(int processId, int signal);

    [LibraryImport("libc", EntryPoint = "prctl", SetLastError = true)]
    public static partial int Control(int option, nuint argument2, nuint argument3, nuint argument4, nuint argument5);

    [LibraryImport("libc", EntryPoint = "geteuid")]
    public static partial uint EffectiveUserId();

    [LibraryImport("libc", EntryPoint = "getppid")]
    public static partial int ParentProcessId();
}
