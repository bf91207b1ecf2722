namespace ShardSharp.Communication.Local;

/// <summary>What holds for all waits of a run.</summary>
/// <param name="RendezvousTimeout">How long to wait for all ranks to come.</param>
/// <param name="CollectiveTimeout">The longest a rank may wait for another afterwards.</param>
/// <param name="Disturb">Called with the rank between the steps of its operations; null but in tests.</param>
internal sealed record RunTerms(TimeSpan RendezvousTimeout, TimeSpan CollectiveTimeout, Action<int>? Disturb = null)
{
    /// <summary>Whether groups may give callers memory in common; false only in tests, for ranks that act as if on hosts of their own.</summary>
    public bool SharesMemory { get; init; } = true;

    /// <summary>Given the report of a failure, on the rank that was the first to notice it.</summary>
    public Action<FailureReport>? Report { get; init; }
}
