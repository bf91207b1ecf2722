namespace ShardSharp.Benchmarks;

/// <summary>What <c>collectives</c> prints, a line for each operation and size.</summary>
/// <param name="Backend">shared-memory or threads.</param>
/// <param name="Ranks">Number of ranks.</param>
/// <param name="Op">The operation.</param>
/// <param name="Kib">The full, unsharded buffer in KiB.</param>
/// <param name="Us">Median time in microseconds.</param>
/// <param name="Gbps">Full buffer divided by the median time, in 10^9 bytes per second.</param>
internal sealed record CollectiveResult(string Backend, int Ranks, string Op, int Kib, double Us, double Gbps);
