using ShardSharp.Communication.Local.Collectives;

namespace ShardSharp.Communication.Local;

/// <summary>A group whose ranks share memory: threads of one process, or processes of one host.</summary>
internal sealed unsafe partial class LocalProcessGroup : ProcessGroup
{
    private readonly LocalWorld _world;
    private readonly MemoryRegion _region;
    private readonly RegionLayout _layout;

    /// <summary>Synchronisation points that this rank has passed; all ranks of a group pass the same ones.</summary>
    private int _turn;

    /// <summary>Those of them that were barriers. Slots take no turn with these, so that the slot made ready is the one written next.</summary>
    private int _barriers;

    private long _sequence;

    /// <param name="world">The run that the rank takes part in.</param>
    /// <param name="name">What the group is called in reports.</param>
    /// <param name="rank">This rank's place in the group.</param>
    /// <param name="globalRanks">World rank of every member.</param>
    /// <param name="region">Memory of the group, owned from now on.</param>
    /// <param name="offset">Where in the region the group's own part begins.</param>
    /// <param name="recorder">Records the calls of the group of all ranks; null for other groups.</param>
    public LocalProcessGroup(
        LocalWorld world, string name, int rank, IReadOnlyList<int> globalRanks, MemoryRegion region, long offset = 0,
        FlightRecorder? recorder = null)
        : base(name, rank, globalRanks, recorder)
    {
        (_world, _region) = (world, region);
        _layout = new RegionLayout(region.Address + offset, globalRanks.Count);
        _sending = [.. globalRanks.Select(_ => new ChannelEnd())];
        _receiving = [.. globalRanks.Select(_ => new ChannelEnd())];
    }

    internal override IRankDelays Delays => _world.Delays;

    internal override long? BufferBytes => Size == 1 ? 0 : RegionLayout.SlotBytesPerMember;

    internal override bool IsWithinProcess => _world.Regions is ThreadMemorySource;

    internal override IFailureBoard Failures => _world.Roster;

    private protected override void Execute(in CollectiveCall call)
    {
        if (!TryRunSmall(call, out var isAgreed))
            Execute(call, isAgreed);
    }

    private void Execute(in CollectiveCall call, bool isAgreed)
    {
        switch (call.Kind)
        {
            case CollectiveKind.AllReduce when call.Input.Length <= SmallAllReduce.MaximumBytes:
                Run(new SmallAllReduce(this, call), call, isAgreed);
                break;
            case CollectiveKind.AllReduce:
                Run(new LargeAllReduce(this, call), call, isAgreed);
                break;
            case CollectiveKind.ReduceScatter:
                Run(new ReduceScatter(this, call), call, isAgreed);
                break;
            case CollectiveKind.Reduce:
                Run(new Reduce(this, call), call, isAgreed);
                break;
            case CollectiveKind.AllGather or CollectiveKind.Gather:
                Run(new Gather(this, call), call, isAgreed);
                break;
            case CollectiveKind.Broadcast:
                Run(new Broadcast(this, call), call, isAgreed);
                break;
            case CollectiveKind.Scatter:
                Run(new Scatter(this, call), call, isAgreed);
                break;
            case CollectiveKind.AllToAll:
                Run(new AllToAll(this, call), call, isAgreed);
                break;
            case CollectiveKind.Send:
                SendMessage(call);
                break;
            case CollectiveKind.Receive:
                ReceiveMessage(call);
                break;
            default:
                Run(default(NoData), call, isAgreed);
                break;
        }
    }

    private protected override ProcessGroup CreateSubgroup(
        string name, IReadOnlyList<IReadOnlyList<int>> partition, IReadOnlyList<int> mine, CallSite site)
    {
        var length = RegionLayout.BytesFor(mine.Count);
        var leads = mine[0] == Rank && mine.Count > 1;
        var region = leads ? _world.Regions.Create(name, length, out var address) : Forget(out address);
        var addresses = AllGatherObject(address, site.File, site.Line);
        if (mine.Count > 1)
            region ??= _world.Regions.Open(addresses[mine[0]], length);
        Barrier(site.File, site.Line);
        if (region is null)
            return new SoloProcessGroup(name, GlobalRanks[Rank]);
        if (leads)
            _world.Regions.Published(region, address);
        return new LocalProcessGroup(_world, name, IndexOf(mine, Rank), [.. mine.Select(rank => GlobalRanks[rank])], region);
    }

    private protected override void Leave()
    {
        if (ReferenceEquals(_world.Group, this))
        {
            Recorder.Close();
            _world.Leave();
        }

        _region.Dispose();
    }

    private static MemoryRegion? Forget(out string address)
    {
        address = "";
        return null;
    }

    private static int IndexOf(IReadOnlyList<int> ranks, int rank)
    {
        var index = 0;
        while (ranks[index] != rank)
            index++;
        return index;
    }
}
