using ShardSharp.Communication.Local.Collectives;

namespace ShardSharp.Communication.Local;

internal sealed unsafe partial class LocalProcessGroup
{
    /// <summary>Where a member publishes its contribution to a chunk of the running collective.</summary>
    /// <remarks>
    /// Slots take turns with the synchronisation points. A slot written before point t is read before point t + 1 and written again only
    /// after it, and a result written before t + 1 is read before t + 2, so two slots of each kind are enough, across collectives too.
    /// </remarks>
    public byte* Contribution(int member, int chunk) => _layout.Contribution(member, _firstTurn + chunk);

    /// <summary>Where a member leaves its part of the result of a chunk.</summary>
    public byte* Result(int member, int chunk) => _layout.Result(member, _firstTurn + chunk);

    private int _firstTurn;
    private bool _inBackground;
    private bool _isPart;

    /// <summary>Runs a collective chunk by chunk: one chunk is published while the one before is combined and the one before that fetched.</summary>
    private void Run<TCollective>(TCollective collective, in CollectiveCall call)
        where TCollective : struct, IStagedCollective
    {
        var chunks = Math.Max(1, collective.Chunks);
        var stages = TCollective.FetchesResults ? 2 : 1;
        (_firstTurn, _inBackground, _isPart) = (_turn, call.InBackground, call.IsPart);
        _sequence++;
        _layout.Signature(Rank, _sequence).Publish(CollectiveSignature.Of(call, _sequence), call.Site);
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
            if (step == 0)
                RequireAgreement();
        }
    }

    /// <summary>Passes the next synchronisation point together with all members.</summary>
    private void Synchronise()
    {
        _turn++;
        RankWaiter.Advance(_layout.Progress(Rank), _layout.Sleepers(Rank));
        var (last, asleep) = (0, 0L);
        for (var step = 1; step < Size; step++)
        {
            // Everyone starts with another neighbour, so that not all read the same line at once.
            var member = Rank + step < Size ? Rank + step : Rank + step - Size;
            if (_world.Waiter.WaitFor(_layout.Progress(member), _layout.Sleepers(member), _turn, WaitFor(member)) is > 0 and var ticks)
                (last, asleep) = (member, asleep + ticks);
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

    /// <summary>Compares what all members have called; they all see the same, so they all come to the same conclusion.</summary>
    private void RequireAgreement()
    {
        var mine = _layout.Signature(Rank, _sequence).Value;
        for (var member = 0; member < Size; member++)
        {
            if (!_layout.Signature(member, _sequence).Value.Matches(mine))
                throw Mismatch();
        }
    }

    private CollectiveMismatchException Mismatch()
    {
        var calls = Enumerable.Range(0, Size).Select(
            member => $"{Environment.NewLine}  rank {GlobalRanks[member]}: {_layout.Signature(member, _sequence)}");
        var message = $"The ranks of group '{Name}' called different operations, or gave them different sizes, types or roots:{string.Concat(calls)}";
        _world.Roster.Break(message);
        return new CollectiveMismatchException(message);
    }
}
