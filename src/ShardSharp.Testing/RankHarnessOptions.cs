namespace ShardSharp.Testing;

/// <summary>How <see cref="RankHarness"/> runs its ranks.</summary>
public sealed record RankHarnessOptions
{
    /// <summary>What the ranks communicate through.</summary>
    /// <value><see cref="RankBackend.Threads"/> unless set.</value>
    public RankBackend Backend { get; init; } = RankBackend.Threads;

    /// <summary>The longest that a rank may wait for another before the test fails.</summary>
    /// <value>One minute unless set.</value>
    public TimeSpan Deadline { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Delays between the steps of every operation, which show races that an even pace hides; none if null.</summary>
    /// <value>Null unless set.</value>
    public DelayInjection? Delays { get; init; }

    /// <summary>Given the report of a failure between ranks, once; none if null.</summary>
    /// <value>Null unless set.</value>
    public Action<string>? FailureReported { get; init; }

    /// <summary>
    /// Whether the ranks act as if on hosts of their own: groups give callers no memory in common, so sharded parameters are gathered by
    /// messages.
    /// </summary>
    /// <value>False unless set.</value>
    public bool SeparateHosts { get; init; }
}
