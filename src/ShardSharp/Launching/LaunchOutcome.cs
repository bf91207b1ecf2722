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
        var failed = Exits.Where(exit => !exit.Succeeded).OrderBy(exit => exit.Rank);
        if (Cause is { ExitCode: ExitCodes.AnotherRankFailed })
        {
            yield return $"no rank failed by itself; some could not go on without another: {Names(failed)}. Their messages say why.";
        }
        else if (Cause is { } cause)
        {
            yield return $"rank {cause.Rank} (pid {cause.ProcessId}) {cause.Description}.";
            var followers = failed.Where(exit => exit.Rank != cause.Rank);
            if (followers.Any())
                yield return $"ended because of it: {Names(followers)}.";
        }

        foreach (var rank in Unended)
            yield return $"rank {rank} has not ended after SIGKILL: it waits inside the kernel, usually for a device or a file system.";

        static string Names(IEnumerable<RankExit> exits) => string.Join(
            ", ", exits.Select(exit => exit.ExitCode == ExitCodes.AnotherRankFailed ? $"rank {exit.Rank}" : $"rank {exit.Rank} ({exit.Brief})"));
    }
}
