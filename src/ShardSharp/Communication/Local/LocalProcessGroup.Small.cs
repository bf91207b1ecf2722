using ShardSharp.Communication.Reductions;

namespace ShardSharp.Communication.Local;

internal sealed unsafe partial class LocalProcessGroup
{
    /// <summary>Up to here it matters what a call costs beside its data.</summary>
    private const long MostBytesOfSmall = 32 * 1024;

    /// <summary>As many lines as a processor keeps waiting to be written, so that it goes on meanwhile.</summary>
    private const long MostBytesPrepared = 64 * LineBytes;

    private const int LineBytes = 64;

    /// <summary>
    /// Runs a collective of little data with one synchronisation point: what a rank publishes, what it calls and that it has come
    /// travel together. The other ranks may run it in stages, which publish the same in the same places.
    /// </summary>
    /// <param name="call">The call.</param>
    /// <param name="isAgreed">Where it does not run: whether all ranks are known to call it, and to run it in stages.</param>
    /// <returns>False if it is another collective or not small, or if a rank proposed to use buffers in place.</returns>
    private bool TryRunSmall(in CollectiveCall call, out bool isAgreed)
    {
        isAgreed = false;
        if (call.Input.Length > MostBytesOfSmall || call.Output.Length > MostBytesOfSmall)
            return false;
        if (!call.Input.TryGetAddress(out var input) || !call.Output.TryGetAddress(out var output))
            return false;
        var (reduces, takesShare) = (false, false);
        switch (call.Kind)
        {
            case CollectiveKind.AllReduce:
                reduces = true;
                break;
            case CollectiveKind.ReduceScatter:
                (reduces, takesShare) = (true, true);
                break;
            case CollectiveKind.AllToAll:
                takesShare = true;
                break;
            case CollectiveKind.AllGather when !IsInPlace(call):
            case CollectiveKind.Barrier:
                break;
            default:
                return false;
        }

        (_inBackground, _isPart) = (call.InBackground, call.IsPart);
        var length = takesShare ? call.Input.Length / Size : call.Input.Length;
        var start = takesShare ? Rank * length : 0;
        var turn = _turn - _barriers;
        Announce(call);
        _world.Disturb?.Invoke();
        var (from, to) = PublishForOthers(input, _layout.Contribution(Rank, turn), length, takesShare);
        Arrive();
        if (!reduces && length > 0 && input + start != output + (Rank * length))
            VectorCopy.Copy(input + start, output + (Rank * length), length);
        var cameTogether = CameTogether();
        if (!cameTogether)
        {
            WakeSleepers();
            AwaitOthers();
        }

        isAgreed = RequireAgreement();
        _world.Disturb?.Invoke();
        if (reduces && !isAgreed)
            ReduceFrom(turn, start, input, output, length, call);
        else if (length > 0 && !isAgreed)
            GatherFrom(turn, start, output, length);

        // Where all came at once this comes so late, because its barrier would have the processor finish writing before it reads on.
        if (cameTogether)
            WakeSleepers();
        if (call.Kind == CollectiveKind.Barrier)
            _barriers++;
        else if (!isAgreed)
            Prepare(_layout.Contribution(Rank, turn + 1), from, to);
        return !isAgreed;
    }

    /// <summary>Publishes the input, or of its equal shares those of others.</summary>
    /// <returns>The first byte that was written, and the one after the last.</returns>
    private (long From, long To) PublishForOthers(byte* input, byte* slot, long length, bool isShared)
    {
        if (!isShared)
        {
            VectorCopy.Copy(input, slot, length);
            return (0, length);
        }

        var (own, all) = (Rank * length, Size * length);
        VectorCopy.Copy(input, slot, own);
        VectorCopy.Copy(input + own + length, slot + own + length, all - own - length);
        return (Rank == 0 ? length : 0, Rank == Size - 1 ? own : all);
    }

    private void ReduceFrom(int turn, long start, byte* input, byte* output, long length, in CollectiveCall call)
    {
        Span<nint> sources = stackalloc nint[Size];
        for (var member = 0; member < sources.Length; member++)
            sources[member] = (nint)(member == Rank ? input : _layout.Contribution(member, turn)) + (nint)start;
        Reducer.Reduce(call.ElementType, call.Reduction, sources, output, length);
    }

    private void GatherFrom(int turn, long start, byte* output, long length)
    {
        for (var member = 0; member < Size; member++)
        {
            if (member != Rank)
                VectorCopy.Copy(_layout.Contribution(member, turn) + start, output + (member * length), length);
        }
    }

    /// <summary>Whether all members come to the synchronisation point together with this rank.</summary>
    private bool CameTogether()
    {
        for (var step = 1; step < Size; step++)
        {
            if (!_world.Waiter.Look(_layout.Progress(Rank + step < Size ? Rank + step : Rank + step - Size), _turn))
                return false;
        }

        return true;
    }

    /// <summary>
    /// Writes to the lines in which the next call will publish, if it is of the size of this one, while nobody waits for that: they are in
    /// the caches of the ranks that read them last, and to fetch them from there takes as long as much of the rest of a call.
    /// </summary>
    /// <param name="slot">One that nobody reads any more: all have passed the synchronisation point after it was read.</param>
    /// <param name="start">First byte.</param>
    /// <param name="end">The byte after the last.</param>
    private static void Prepare(byte* slot, long start, long end)
    {
        end = Math.Min(end, start + MostBytesPrepared);
        for (; start < end; start += LineBytes)
            slot[start] = 0;
    }
}
