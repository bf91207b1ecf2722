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

    /// <summary>Seed of random delays between the steps of every operation, which show races that an even pace hides; none if null.</summary>
    /// <value>Null unless set.</value>
    public int? DelaySeed { get; init; }

    /// <summary>Given the report of a failure between ranks, once; none if null.</summary>
    /// <value>Null unless set.</value>
    public Action<string>? FailureReported { get; init; }

    /// <summary>
    /// Whether the ranks act as if on hosts of their own: groups give callers no memory in common, so sharded parameters are gathered by
    /// messages.
    /// </summary>
    /// <value>False unless set.</value>
    public bool SeparateHosts { get; init; }

    internal Action<int>? CreateDisturbance(int ranks)
    {
        if (DelaySeed is not { } seed)
            return null;
        var randoms = Enumerable.Range(0, ranks).Select(rank => new Random((seed * 31) + rank)).ToArray();
        return rank =>
        {
            // Background operations of a rank share its generator with the rank itself.
            int choice;
            lock (randoms[rank])
                choice = randoms[rank].Next(8);
            if (choice == 0)
                Thread.Yield();
            else if (choice < 4)
                Thread.SpinWait(1 << (choice * 3));
        };
    }
}
