namespace ShardSharp.Launching;

/// <summary>How a launch of rank processes ended.</summary>
/// <param name="Ranks">How many ranks there were.</param>
/// <param name="Exits">The ends of the ranks, in their order.</param>
/// <param name="Cause">The rank whose failure ended the launch, or null.</param>
/// <param name="Signal">The number of the signal to the launcher that ended the launch, or null.</param>
/// <param name="Unended">Ranks that were still there after SIGKILL.</param>
internal sealed record LaunchOutcome(int Ranks, IReadOnlyList<RankExit> Exits, RankExit? Cause, int? Signal, IReadOnlyList<int> Unended)
{
    /// <summary>The exit code of the launch: that of the first rank to fail, or 128 + n where signal n ended it or the launch.</summary>
    public int ExitCode => Signal is { } signal ? ExitCodes.SignalBase + signal
        : Cause is not { } cause ? ExitCodes.Success
        : cause.ExitCode == ExitCodes.AnotherRankFailed ? ExitCodes.WorkFailed
        : cause.ExitCode;

    /// <summary>Why the launch ended, in lines for people; none where it succeeded.</summary>
    public IEnumerable<string> Report()
    {
        if (Signal is { } signal)
            yield return $"stopped by {RankExit.SignalName(signal)}; all {Ranks} ranks were told to end.";
        if (Cause is { } cause)
            yield return $"rank {cause.Rank} (pid {cause.ProcessId}) {cause.Description}.";
        var followers = Exits.Where(exit => !exit.Succeeded && exit.Rank != Cause?.Rank)
            .OrderBy(exit => exit.Rank).Select(exit => $"rank {exit.Rank} ({exit.Brief})");
        if (Cause is not null && followers.Any())
            yield return $"ended because of it: {string.Join(", ", followers)}.";
        foreach (var rank in Unended)
            yield return $"rank {rank} has not ended after SIGKILL: it waits inside the kernel, usually for a device or a file system.";
    }
}
