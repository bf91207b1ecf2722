namespace ShardSharp.Communication.Local;

/// <summary>Who waits for whom, and why: what a report says about a wait that did not end well.</summary>
/// <param name="GlobalRank">World rank that waits.</param>
/// <param name="AwaitedGlobalRank">World rank that it waits for.</param>
/// <param name="Group">Name of the group.</param>
/// <param name="Mine">What the waiting rank called.</param>
/// <param name="Theirs">The latest that the awaited rank called in this group; null if nobody can tell.</param>
internal readonly record struct PendingWait(
    int GlobalRank, int AwaitedGlobalRank, string Group, PublishedSignature Mine, PublishedSignature? Theirs)
{
    /// <summary>Whether the rank computes meanwhile, so that spinning would take its core from it.</summary>
    public bool InBackground { get; init; }

    public string Describe()
    {
        var awaited = Theirs is not { } latest ? $"rank {AwaitedGlobalRank}"
            : latest.Value.Sequence == 0 ? $"rank {AwaitedGlobalRank}, which has called nothing in this group yet"
            : $"rank {AwaitedGlobalRank}, whose latest call there is {latest}";
        return $"Rank {GlobalRank} is in {Mine} in group '{Group}' and waits for {awaited}.";
    }
}
