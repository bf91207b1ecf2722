namespace ShardSharp.Launching;

/// <summary>What the exit code of a launch, of a rank and of every command says.</summary>
internal static class ExitCodes
{
    /// <summary>The work was done.</summary>
    public const int Success = 0;

    /// <summary>The work failed: on some rank the program threw.</summary>
    public const int WorkFailed = 1;

    /// <summary>Nothing was started: the arguments or the configuration are wrong.</summary>
    public const int BadConfiguration = 2;

    /// <summary>
    /// How a rank process ends that failed only because another one did. It lets the launcher name the rank that was first even where both
    /// ends reach it together, and is never the exit code of the launch itself.
    /// </summary>
    public const int AnotherRankFailed = 120;

    /// <summary>Added to a signal's number: the shell's convention for a process that a signal ended.</summary>
    public const int SignalBase = 128;
}
