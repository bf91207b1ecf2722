namespace ShardSharp.Launching;

/// <summary>How a rank process ended.</summary>
/// <param name="Rank">The rank.</param>
/// <param name="ProcessId">The process that ran it.</param>
/// <param name="ExitCode">Its exit code; 128 + n where signal n ended it (as in shells; .NET does not tell the two apart).</param>
internal readonly record struct RankExit(int Rank, int ProcessId, int ExitCode)
{
    private const int LastStandardSignal = 31;

    public bool Succeeded => ExitCode == ExitCodes.Success;

    /// <summary>The signal that ended the process, or null.</summary>
    public int? Signal => ExitCode - ExitCodes.SignalBase is >= 1 and <= LastStandardSignal and int signal ? signal : null;

    /// <summary>In words: "exited with code 3", "was killed by SIGSEGV (signal 11; a fault in native code)".</summary>
    public string Description => Signal is not { } signal ? $"exited with code {ExitCode}"
        : UsualCause(signal) is { } cause ? $"was killed by {SignalName(signal)} (signal {signal}; {cause})"
        : $"was killed by {SignalName(signal)} (signal {signal})";

    /// <summary>The same in one word, for lists: "SIGTERM", "code 3".</summary>
    public string Brief => Signal is { } signal ? SignalName(signal) : $"code {ExitCode}";

    /// <summary>The name of a signal by its number on Linux (man 7 signal).</summary>
    public static string SignalName(int signal) => signal switch
    {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => "a signal",
    };

    private static string? UsualCause(int signal) => signal switch
    {
        4 => "an instruction this processor lacks is a usual cause",
        6 => "an unhandled exception or a failed native check is a usual cause",
        7 => "a full /dev/shm is a usual cause",
        9 => "out of memory is a usual cause",
        11 => "a fault in native code",
        24 => "the limit on processor time",
        _ => null,
    };
}
