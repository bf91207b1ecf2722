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
        yield return $"rank {Cause.Rank} failed: {FailureText.Full(Cause.Exception)}";
        var followers = Failures.Skip(1).OrderBy(failure => failure.Rank).ToArray();
        if (followers.Length > 0)
            yield return $"ended because of it: {string.Join(", ", followers.Select(Brief))}.";
        foreach (var wait in followers.Select(failure => FailureText.Wait(failure.Exception)).OfType<string>())
            yield return wait.TrimStart();

        foreach (var rank in Unended)
            yield return $"rank {rank} has not ended; its thread ends with the process.";

        // A mismatch names all ranks; what else a rank threw on its way out may matter.
        static string Brief(RankFailure failure) => FailureText.CommunicationFailure(failure.Exception) is not null
            ? $"rank {failure.Rank}"
            : $"rank {failure.Rank} ({failure.Exception.GetType().Name}: {failure.Exception.Message})";
    }
}
