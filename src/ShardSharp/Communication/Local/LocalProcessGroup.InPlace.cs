using ShardSharp.Communication.Local.Collectives;

namespace ShardSharp.Communication.Local;

internal sealed unsafe partial class LocalProcessGroup
{
    /// <summary>Below this a second synchronisation point, after which buffers may change again, costs more than it saves to stage nothing.</summary>
    private const long LeastBytesInPlace = 32 * 1024;

    /// <summary>Where the others find this rank's buffers, if it would have everybody use them in place; else nowhere.</summary>
    private BufferPlaces ProposePlaces(in CollectiveCall call)
    {
        var window = call.Input.Length > 0 ? call.Input : call.Output;
        if (window.Length == 0 || (call.Kind == CollectiveKind.AllReduce && !call.Output.IsSameMemoryAs(call.Input)))
            return default;
        if (call.AgreedBytes < LeastBytesInPlace && !IsInPlace(call))
            return default;
        return new BufferPlaces(
            _world.Memories.Find(window, GlobalRanks),
            call.Kind == CollectiveKind.AllGather ? _world.Memories.Find(call.Output, GlobalRanks) : default);
    }

    /// <summary>Whether this rank's share of a gathering lies where it belongs.</summary>
    private bool IsInPlace(in CollectiveCall call) =>
        call.Kind == CollectiveKind.AllGather && call.Input.TryGetAddress(out var share) && call.Output.TryGetAddress(out var all)
        && share == all + (Rank * call.Input.Length);

    /// <summary>Runs a collective in the ranks' own buffers, if all of them are in one memory.</summary>
    /// <returns>False if they are not: the same on all ranks.</returns>
    private bool TryRunInPlace(in CollectiveCall call)
    {
        var mine = *_layout.Places(Rank, _sequence);
        Span<nint> windows = stackalloc nint[Size];
        var (sameOutput, inPlace) = (mine.Output.Memory != 0, true);
        for (var member = 0; member < Size; member++)
        {
            var theirs = *_layout.Places(member, _sequence);
            if (!_layout.Digest(member, _sequence)->Proposes || theirs.Window.Memory != mine.Window.Memory)
                return false;
            windows[member] = (nint)_world.Memories.AddressOf(theirs.Window);
            sameOutput &= theirs.Output == mine.Output;
            inPlace &= theirs.Window == mine.Output with { Offset = mine.Output.Offset + (member * call.Input.Length) };
        }

        // The synchronisation point that the ranks have passed is all there is to gathering what lies where it belongs.
        if (sameOutput && inPlace)
            return true;
        _world.Disturb?.Invoke();
        new InPlaceCollective(Rank, call, windows).Run(sharesOutput: sameOutput);
        SynchroniseWithReaders();
        return true;
    }

    /// <summary>Waits until no rank uses another's buffers any more.</summary>
    private void SynchroniseWithReaders()
    {
        try
        {
            Synchronise();
        }
        catch when (_world.Memories.RanksAreThreads)
        {
            // The run has failed elsewhere, but this rank may free its tensors only when nobody reads them: everybody has begun to, and
            // waits for nothing until it has ended.
            for (var member = 0; member < Size; member++)
            {
                var progress = (nint)_layout.Progress(member);
                SpinWait.SpinUntil(() => Volatile.Read(ref *(int*)progress) - _turn >= 0);
            }

            throw;
        }
    }
}
