namespace ShardSharp.Communication;

/// <summary>What the flight recorder of a rank held at one moment.</summary>
/// <param name="Rank">World rank.</param>
/// <param name="Gone">Why the rank takes part in nothing any more; null while it may.</param>
/// <param name="Groups">Identities of the groups that it belongs to.</param>
/// <param name="Entries">Its latest calls, the oldest first.</param>
internal sealed record RankFlight(int Rank, string? Gone, IReadOnlySet<long> Groups, IReadOnlyList<FlightEntry> Entries)
{
    /// <summary>Whether nobody knows what it recorded.</summary>
    public bool IsSilent { get; private init; }

    /// <summary>The call that the rank is in, the longest-running where there are several; null if it is in none.</summary>
    public FlightEntry? Current => Entries.FirstOrDefault(entry => entry.State == FlightState.Running);

    /// <summary>A rank that did not answer.</summary>
    public static RankFlight Silent(int rank) => new(rank, null, new HashSet<long>(), []) { IsSilent = true };

    /// <summary>Its collectives in a group, by their position.</summary>
    public IReadOnlyDictionary<long, FlightEntry> CollectivesOf(long group) =>
        Entries.Where(entry => entry.GroupIdentity == group && entry.MessagePeer is null).DistinctBy(entry => entry.Sequence)
            .ToDictionary(entry => entry.Sequence);
}
