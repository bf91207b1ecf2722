namespace ShardSharp.Communication.Local;

internal sealed unsafe partial class LocalProcessGroup
{
    /// <summary>The line of the program that each of the two latest signatures names.</summary>
    private readonly CallSite[] _publishedSites = new CallSite[2];

    /// <summary>What the others compare, published with the progress.</summary>
    private CallDigest _digest;

    /// <summary>Publishes what this rank calls.</summary>
    /// <returns>Whether it proposes that all ranks use each other's buffers in place.</returns>
    private bool Announce(in CollectiveCall call)
    {
        _sequence++;
        var signature = CollectiveSignature.Of(call, _sequence);
        var published = _layout.Signature(Rank, _sequence);
        ref var site = ref _publishedSites[_sequence & 1];
        if (site == call.Site)
            published.Publish(signature);
        else
            published.Publish(signature, site = call.Site);

        var places = ProposePlaces(call);
        var proposes = places.Window.Memory != 0;
        if (proposes)
            *_layout.Places(Rank, _sequence) = places;
        _digest = CallDigest.Of(signature, proposes);
        return proposes;
    }

    /// <summary>Compares what all members have called; they all see the same, so they all come to the same conclusion.</summary>
    /// <returns>Whether a member proposes to use buffers in place, and so has not published its contribution.</returns>
    private bool RequireAgreement()
    {
        var proposed = _digest.Proposes;
        for (var member = 0; member < Size; member++)
        {
            var theirs = *_layout.Digest(member, _sequence);
            if (!theirs.Matches(_digest))
                throw Mismatch();
            proposed |= theirs.Proposes;
        }

        return proposed;
    }

    private CollectiveMismatchException Mismatch()
    {
        WakeSleepers();
        var calls = Enumerable.Range(0, Size).Select(
            member => $"{Environment.NewLine}  rank {GlobalRanks[member]}: {_layout.Signature(member, _sequence)}");
        var message = $"The ranks of group '{Name}' called different operations, or gave them different sizes, types or roots:{string.Concat(calls)}";
        _world.Roster.Break(message);
        return new CollectiveMismatchException(message);
    }
}
