using ShardSharp.Native;

namespace ShardSharp.Communication.Mpi;

/// <summary>A group whose ranks exchange messages through MPI, on any number of hosts.</summary>
/// <remarks>
/// MPI moves bytes and nothing else. Ranks first tell each other what they call (<see cref="CallExchange"/>), and little data comes along;
/// more data follows in steps. Reductions collect the contributions and combine them here, in rank order, so they give the same bits as on
/// one host.
/// </remarks>
internal sealed unsafe partial class MpiProcessGroup : ProcessGroup
{
    private const int TagsPerGroup = 2;

    /// <summary>Tag of collectives; that of messages between two ranks is the next one. The world's notices have tag 0.</summary>
    private readonly int _tag;
    private readonly int _number;
    private readonly CallExchange _exchange;

    /// <param name="world">The run that the rank takes part in.</param>
    /// <param name="name">What the group is called in reports.</param>
    /// <param name="rank">This rank's place in the group.</param>
    /// <param name="globalRanks">World rank of every member.</param>
    /// <param name="number">Tells the group from every other that shares two ranks with it; from 1.</param>
    public MpiProcessGroup(MpiWorld world, string name, int rank, IReadOnlyList<int> globalRanks, int number)
        : base(name, rank, globalRanks)
    {
        if ((number + 1L) * TagsPerGroup > world.Communicator.TagLimit)
            throw new CommunicationException($"Group '{name}' is the {number}th: more than {world.Communicator.Description} can tell apart.");
        (World, _number, _tag) = (world, number, number * TagsPerGroup);
        _exchange = new CallExchange(this, _tag);
        _contributions = [new MpiTransfers(this, _tag), new MpiTransfers(this, _tag)];
        _results = [new MpiTransfers(this, _tag), new MpiTransfers(this, _tag)];
    }

    public MpiWorld World { get; }

    internal override IRankDelays Delays => World.Delays;

    /// <summary>Tag of the messages that make up collectives.</summary>
    public int CollectiveTag => _tag;

    internal override IFailureBoard Failures => World;

    private protected override void Execute(in CollectiveCall call)
    {
        try
        {
            if (call.Kind == CollectiveKind.Send)
                SendMessage(call);
            else if (call.Kind == CollectiveKind.Receive)
                ReceiveMessage(call);
            else if (!TryFinishSmall(call))
                Transfer(call);
        }
        catch (MpiException failure)
        {
            throw Broken(call, failure);
        }
    }

    /// <summary>Tells all ranks that MPI failed in a call.</summary>
    public CommunicationException Broken(in CollectiveCall call, MpiException failure)
    {
        var message = $"Rank {GlobalRanks[Rank]} in {call} in group '{Name}': {failure.Message}";
        World.Break(message);
        return new CommunicationException(message, failure);
    }

    private protected override ProcessGroup CreateSubgroup(
        string name, IReadOnlyList<IReadOnlyList<int>> partition, IReadOnlyList<int> mine, CallSite site)
    {
        var number = AllGatherObject(World.ReserveGroup(), site.File, site.Line).Max();
        World.TakeGroup(number);
        var rank = mine.TakeWhile(member => member != Rank).Count();
        return mine.Count == 1
            ? new SoloProcessGroup(name, GlobalRanks[Rank])
            : new MpiProcessGroup(World, name, rank, [.. mine.Select(member => GlobalRanks[member])], number);
    }

    private protected override void Leave()
    {
        if (ReferenceEquals(World.Group, this))
            World.LeaveHost();

        // After a failure messages may still be on their way into this memory.
        if (World.HasFailed)
            return;
        _exchange.Dispose();
        _staging?.Dispose();
    }

    /// <summary>Comes to an agreement on a call with all members, and finishes it if their data came along.</summary>
    /// <returns>Whether it is done; if not, its data is still to be moved.</returns>
    public bool TryFinishSmall(in CollectiveCall call)
    {
        World.Disturb?.Invoke();
        var mine = _exchange.Mine;
        mine.Signature.Publish(CollectiveSignature.Of(call, call.Sequence), call.Site);
        var contribution = ContributionOf(call);
        var isSmall = contribution <= _exchange.DataBytes;
        mine.DataBytes = isSmall ? call.Input.Length : 0;
        if (isSmall)
            call.Input.Read(0, mine.Data, call.Input.Length);
        _exchange.Run();
        RequireAgreement();
        if (isSmall)
            FinishSmall(call);
        return isSmall;
    }

    /// <summary>Moves the data of a large collective on which all members have agreed, if not in so many words.</summary>
    public void Transfer(in CollectiveCall call)
    {
        try
        {
            MoveData(call);
        }
        catch
        {
            foreach (var transfers in (MpiTransfers[])[.. _contributions, .. _results])
                transfers.Dispose();
            throw;
        }
    }

    /// <summary>The most that any member contributes, which all that agree on the call agree on too.</summary>
    private long ContributionOf(in CollectiveCall call) =>
        call.Kind == CollectiveKind.Scatter ? call.AgreedBytes * Size : call.AgreedBytes;

    /// <summary>Compares what all members have called; they all see the same, so they all come to the same conclusion.</summary>
    private void RequireAgreement()
    {
        var mine = _exchange.Mine.Signature.Value;
        for (var member = 0; member < Size; member++)
        {
            if (!_exchange[member].Signature.Value.Matches(mine))
                throw Mismatch();
        }
    }

    private CollectiveMismatchException Mismatch()
    {
        var calls = Enumerable.Range(0, Size).Select(
            member => $"{Environment.NewLine}  rank {GlobalRanks[member]}: {_exchange[member].Signature}");
        var message = $"The ranks of group '{Name}' called different operations, or gave them different sizes, types or roots:{string.Concat(calls)}";
        World.Break(message);
        return new CollectiveMismatchException(message);
    }
}
