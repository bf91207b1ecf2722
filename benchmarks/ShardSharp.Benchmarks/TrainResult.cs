namespace ShardSharp.Benchmarks;

/// <summary>What <c>train</c> prints.</summary>
/// <param name="Mode">plain, single, ddp, sdp, oss, pp.</param>
/// <param name="Ranks">Number of ranks.</param>
/// <param name="Threads">Compute threads of each rank.</param>
/// <param name="Microbatches">Parts in which a rank works off its share of a batch.</param>
/// <param name="StepS">Median time of a step in seconds.</param>
/// <param name="TokensPerS">Tokens per second over all ranks, at the median.</param>
/// <param name="PeakPssMib">For each rank the peak of its proportional set size in MiB, sampled in steps that are not timed.</param>
/// <param name="PeakRssMib">For each rank the peak of its resident set in MiB since it began.</param>
/// <param name="Losses">Mean loss of the global batch at each step, warm-up included.</param>
/// <param name="ActivationMib">For each rank what a microbatch takes beside what stays, at the peak in MiB; 0 in mode plain.</param>
internal sealed record TrainResult(
    string Mode,
    int Ranks,
    int Threads,
    int Microbatches,
    double StepS,
    double TokensPerS,
    IReadOnlyList<double> PeakPssMib,
    IReadOnlyList<double> PeakRssMib,
    IReadOnlyList<double> Losses,
    IReadOnlyList<double> ActivationMib)
{
    /// <summary>What a pipeline did; null for other modes.</summary>
    public PipelineResult? Pipeline { get; init; }

    /// <summary>How fast the ranks of a pipeline are apart; null if nobody measured it.</summary>
    public BoundResult? Bound { get; init; }
}
