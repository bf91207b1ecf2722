using ShardSharp.Communication.Local.Collectives;

namespace ShardSharp.Communication.Local;

internal sealed unsafe partial class LocalProcessGroup
{
    /// <summary>Where a member publishes its contribution to a chunk of the running collective.</summary>
    /// <remarks>
    /// Slots take turns with the synchronisation points, barriers left out. A slot written before point t is read before point t + 1 and
    /// written again only after it, and a result written before t + 1 is read before t + 2, so two slots of each kind are enough, across
    /// collectives too.
    /// </remarks>
    public byte* Contribution(int member, int chunk) => _layout.Contribution(member, _firstTurn + chunk);

    /// <summary>Where a member leaves its part of the result of a chunk.</summary>
    public byte* Result(int member, int chunk) => _layout.Result(member, _firstTurn + chunk);

    /// <summary>Publishes a piece of every share but this rank's own, one after another.</summary>
    public void PublishShares(FlatBuffer input, long share, in Chunking chunking, int chunk)
    {
        var (offset, length) = (chunking.Offset(chunk), chunking.Length(chunk));
        var target = Contribution(Rank, chunk);
        for (var member = 0; member < Size; member++)
        {
            if (member != Rank)
                input.Read((member * share) + offset, target + (member * length), length);
        }
    }

    private int _firstTurn;
    private bool _inBackground;
    private bool _isPart;

    /// <summary>Runs a collective: in the ranks' own buffers where all can reach them, else through slots.</summary>
    /// <param name="collective">The collective.</param>
    /// <param name="call">The call.</param>
    /// <param name="isAgreed">Whether all ranks are known to call it, and to run it in stages.</param>
    private void Run<TCollective>(TCollective collective, in CollectiveCall call, bool isAgreed)
        where TCollective : struct, IStagedCollective
    {
        if (isAgreed)
        {
            TryRunStages(collective, isAgreed);
            return;
        }

        (_inBackground, _isPart) = (call.InBackground, call.IsPart);
        if (Announce(call))
        {
            Synchronise();
            RequireAgreement();
            if (TryRunInPlace(call))
                return;
        }
        else if (TryRunStages(collective, isAgreed: false))
        {
            return;
        }

        TryRunStages(collective, isAgreed: true);
    }

    /// <summary>Runs a collective chunk by chunk: one chunk is published while the one before is combined and the one before that fetched.</summary>
    /// <param name="collective">The collective.</param>
    /// <param name="isAgreed">Whether all ranks are known to call it, and to run it in stages.</param>
    /// <returns>False if some rank has not begun to run it in stages, so that all have to begin anew.</returns>
    private bool TryRunStages<TCollective>(TCollective collective, bool isAgreed)
        where TCollective : struct, IStagedCollective
    {
        var chunks = Math.Max(1, collective.Chunks);
        var stages = TCollective.FetchesResults ? 2 : 1;
        _firstTurn = _turn - _barriers;
        for (var step = 0; step < chunks + stages; step++)
        {
            _world.Disturb?.Invoke();
            if (step < chunks)
                collective.Publish(step);
            _world.Disturb?.Invoke();
            if (step >= 1 && step - 1 < chunks)
                collective.Combine(step - 1);
            _world.Disturb?.Invoke();
            if (step >= 2 && TCollective.FetchesResults)
                collective.Fetch(step - 2);
            if (step < chunks + stages - 1)
                Synchronise();
            if (step == 0 && !isAgreed && RequireAgreement())
                return false;
        }

        return true;
    }

    /// <summary>Passes the next synchronisation point together with all members.</summary>
    private void Synchronise()
    {
        Arrive();
        WakeSleepers();
        AwaitOthers();
    }

    /// <summary>Tells the others that this rank has come to the next synchronisation point; <see cref="WakeSleepers"/> must follow.</summary>
    private void Arrive()
    {
        // Beside the progress and just before it, so that the line is fetched from those who wait for it once.
        *_layout.Digest(Rank, _sequence) = _digest;
        RankWaiter.Advance(_layout.Progress(Rank), ++_turn);
    }

    private void WakeSleepers() => RankWaiter.WakeSleepers(_layout.Progress(Rank), _layout.Sleepers(Rank));

    private void AwaitOthers()
    {
        var (last, asleep) = (0, 0L);
        for (var step = 1; step < Size; step++)
        {
            // Everyone starts with another neighbour, so that not all read the same line at once.
            var member = Rank + step < Size ? Rank + step : Rank + step - Size;
            if (!_world.Waiter.Spin(_layout.Progress(member), _turn, _inBackground))
                (last, asleep) = (member, asleep + _world.Waiter.Sleep(_layout.Progress(member), _layout.Sleepers(member), _turn, WaitFor(member)));
        }

        // Whoever had come while another was awaited is not waited for, so the last one awaited is the last to come.
        if (asleep > 0 && !_isPart)
            _world.Blame(GlobalRanks[last], asleep);
    }

    private PendingWait WaitFor(int member) => new(
        GlobalRanks[Rank], GlobalRanks[member], Name, _layout.Signature(Rank, _sequence), LatestSignature(member))
    {
        InBackground = _inBackground,
    };

    private PublishedSignature LatestSignature(int member)
    {
        var (current, previous) = (_layout.Signature(member, _sequence), _layout.Signature(member, _sequence - 1));
        return current.Value.Sequence > previous.Value.Sequence ? current : previous;
    }
}
