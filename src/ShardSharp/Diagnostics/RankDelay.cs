namespace ShardSharp.Diagnostics;

/// <summary>How much one rank kept the others waiting in collectives.</summary>
/// <param name="Rank">World rank.</param>
/// <param name="Waited">Time that the other ranks waited for it as the last to come, added up over them.</param>
/// <param name="Times">How often one of them did.</param>
/// <param name="Share">Its part, 0 to 1, of the time that ranks waited for any rank.</param>
/// <param name="LostFraction">Its part, 0 to 1, of the run's time: what an average other rank lost to it.</param>
public sealed record RankDelay(int Rank, TimeSpan Waited, long Times, double Share, double LostFraction);
