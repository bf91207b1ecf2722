namespace ShardSharp.Benchmarks;

/// <summary>What <c>collectives</c> prints, a line for each operation and size.</summary>
/// <param name="Backend">shared-memory, threads or mpi; of a peer its name.</param>
/// <param name="Ranks">Number of ranks.</param>
/// <param name="Op">The operation.</param>
/// <param name="Kib">The full, unsharded buffer in KiB.</param>
/// <param name="Us">Median time in microseconds.</param>
/// <param name="Gbps">Full buffer divided by the median time, in 10^9 bytes per second.</param>
internal sealed record CollectiveResult(string Backend, int Ranks, string Op, int Kib, double Us, double Gbps)
{
    /// <summary><c>shared</c> where the tensors lie in memory of the group; null where each rank's are its own.</summary>
    public string? Memory { get; init; }

    /// <summary>Microseconds that the peers took; null where none ran.</summary>
    public IReadOnlyDictionary<string, double>? PeersUs { get; init; }

    /// <summary>Time of the fastest peer over this one's; null where none ran.</summary>
    public double? TimesBestPeer { get; init; }

    public static CollectiveResult Of(string backend, int ranks, string operation, int kib, double microseconds) =>
        new(backend, ranks, operation, kib, Math.Round(microseconds, 2), Math.Round(kib * 1024 / microseconds / 1000, 3));

    /// <summary>Compares with those results of peers that are for the same operation and size.</summary>
    public CollectiveResult Against(IEnumerable<CollectiveResult> peers)
    {
        var times = peers.Where(peer => (peer.Op, peer.Kib) == (Op, Kib)).ToDictionary(peer => peer.Backend, peer => peer.Us);
        return times.Count == 0 ? this : this with { PeersUs = times, TimesBestPeer = Math.Round(times.Values.Min() / Us, 2) };
    }
}
