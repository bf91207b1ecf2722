namespace ShardSharp.Communication;

/// <summary>How long ranks waited for each other in collectives: the time until the last to come counts against that last one.</summary>
internal interface IRankDelays
{
    /// <summary>How long, in <see cref="System.Diagnostics.Stopwatch"/> ticks, and how often this rank has waited for another, by world rank.</summary>
    (long Ticks, long Times) Of(int awaited);

    /// <summary>The same of all ranks together, as far as this one knows.</summary>
    (long Ticks, long Times) OfAll(int awaited);
}
