using ShardSharp.Communication.Local.Collectives;

namespace ShardSharp.Communication.Local;

internal sealed unsafe partial class LocalProcessGroup
{
    /// <summary>Up to here it matters what a call costs beside its data.</summary>
    private const long MostBytesAtOnce = 32 * 1024;

    /// <summary>As many lines as a processor takes note of to write them later, so that nobody waits for them.</summary>
    private const long MostBytesPrepared = 64 * 64;

    /// <summary>The part of its slot that this rank has published last.</summary>
    private (long Start, long End) _published;

    private static bool IsSmall<TCollective>(ref TCollective collective, in CollectiveCall call)
        where TCollective : struct, IStagedCollective =>
        !TCollective.FetchesResults && call.Input.Length <= MostBytesAtOnce && call.Output.Length <= MostBytesAtOnce && collective.Chunks <= 1;

    /// <summary>Runs a collective of one chunk, or of none: what the ranks publish, and that they have, travels together.</summary>
    /// <returns>False if some rank has not begun to run it in stages, so that all have to begin anew.</returns>
    private bool TryRunAtOnce<TCollective>(ref TCollective collective)
        where TCollective : struct, IStagedCollective
    {
        (_firstTurn, _published) = (_turn, default);
        _world.Disturb?.Invoke();
        collective.Publish(0);
        Arrive();
        collective.Meanwhile(0);
        var haveCome = HaveCome();
        if (!haveCome)
        {
            WakeSleepers();
            AwaitOthers();
        }

        if (RequireAgreement())
        {
            WakeSleepers();
            return false;
        }

        _world.Disturb?.Invoke();
        collective.Combine(0);

        // Where all came at once, this comes last: its barrier would have the processor finish writing before it reads on.
        if (haveCome)
            WakeSleepers();
        Prepare(_layout.Contribution(Rank, _turn), _published.Start, _published.End);
        return true;
    }

    /// <summary>Whether all members come to the synchronisation point together with this rank.</summary>
    private bool HaveCome()
    {
        for (var step = 1; step < Size; step++)
        {
            if (!_world.Waiter.Look(_layout.Progress(Rank + step < Size ? Rank + step : Rank + step - Size), _turn))
                return false;
        }

        return true;
    }

    /// <summary>
    /// Writes to the lines in which the next call will publish, if it is of the size of this one, while nobody waits for that: they are in the
    /// caches of the ranks that read them last, and to fetch them from there takes as long as much of the rest of a call.
    /// </summary>
    /// <param name="slot">One that nobody reads any more: all have passed the synchronisation point after it was read.</param>
    /// <param name="start">First byte.</param>
    /// <param name="end">The byte after the last.</param>
    private static void Prepare(byte* slot, long start, long end)
    {
        end = Math.Min(end, start + MostBytesPrepared);
        for (; start < end; start += Chunking.Alignment)
            slot[start] = 0;
    }
}
