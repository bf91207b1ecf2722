using ShardSharp.Communication;

namespace ShardSharp.Checkpoints;

/// <summary>What came of something on a rank, as it tells the others: what all need, or why there is nothing.</summary>
/// <param name="Value">The result; null if it failed.</param>
/// <param name="Error">Why it failed; null if it did not.</param>
internal sealed record RankOutcome<T>(T? Value, string? Error)
    where T : class
{
    /// <summary>Does something, and keeps its failure from ending this rank before the others know of it.</summary>
    /// <param name="action">What to do.</param>
    /// <param name="failure">What it threw; null if nothing.</param>
    public static RankOutcome<T> Of(Func<T> action, out Exception? failure)
    {
        try
        {
            failure = null;
            return new RankOutcome<T>(action(), null);
        }
        catch (Exception thrown) when (thrown is not CommunicationException)
        {
            failure = thrown;
            return new RankOutcome<T>(null, $"{(thrown is IOException or NotSupportedException or InvalidOperationException or UnauthorizedAccessException or ArgumentException ? "" : thrown.GetType().Name + ": ")}{thrown.Message}");
        }
    }
}

/// <summary>Finds out together whether something worked on all ranks.</summary>
internal static class RankOutcome
{
    /// <summary>What failed, rank by rank; null if nothing did.</summary>
    public static string? FailureOf<T>(IReadOnlyList<RankOutcome<T>> outcomes)
        where T : class
    {
        string[] failures = [.. outcomes.Index().Where(entry => entry.Item.Error is not null).Select(entry => $"rank {entry.Index}: {entry.Item.Error}")];
        return failures.Length switch
        {
            0 => null,
            1 => failures[0],
            _ => $"{failures[0]} ({failures.Length} ranks failed)",
        };
    }

    /// <summary>Throws on all ranks what any of them failed with.</summary>
    /// <param name="group">The ranks.</param>
    /// <param name="path">What it was done to.</param>
    /// <param name="doing">What was being done, for the message.</param>
    /// <param name="action">What this rank does.</param>
    /// <exception cref="CheckpointException">It failed on a rank.</exception>
    public static void Require(ProcessGroup group, string path, string doing, Action action)
    {
        var mine = RankOutcome<string>.Of(() => { action(); return ""; }, out var failure);
        if (FailureOf(group.AllGatherObject(mine)) is { } problem)
            throw new CheckpointException(path, $"{doing} failed on {problem}", failure);
    }
}
