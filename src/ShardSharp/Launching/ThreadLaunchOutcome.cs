namespace ShardSharp.Launching;

/// <summary>What a rank threw.</summary>
internal sealed record RankFailure(int Rank, Exception Exception);

/// <summary>How a launch of rank threads ended.</summary>
/// <param name="Failures">The cause first, then what followed from it.</param>
/// <param name="Unended">Ranks that were still running when the others had ended and their time was up.</param>
internal sealed record ThreadLaunchOutcome(IReadOnlyList<RankFailure> Failures, IReadOnlyList<int> Unended)
{
    /// <summary>The failure that ended the launch, or null.</summary>
    public RankFailure? Cause => Failures.Count > 0 ? Failures[0] : null;

    public int ExitCode => Cause is null ? ExitCodes.Success : ExitCodes.WorkFailed;

    /// <summary>Why the launch ended, in lines for people; none where it succeeded.</summary>
    public IEnumerable<string> Report()
    {
        if (Cause is null)
            yield break;
        yield return $"rank {Cause.Rank} failed: {Cause.Exception}";
        if (Failures.Count > 1)
        {
            yield return "ended because of it: " + string.Join(", ", Failures.Skip(1).OrderBy(failure => failure.Rank)
                .Select(failure => $"rank {failure.Rank} ({failure.Exception.GetType().Name}: {failure.Exception.Message})")) + ".";
        }

        foreach (var rank in Unended)
            yield return $"rank {rank} has not ended; its thread ends with the process.";
    }
}
