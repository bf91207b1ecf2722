using ShardSharp.Communication.Mpi;
using ShardSharp.Native;

namespace ShardSharp.Communication.Hierarchical;

/// <summary>A group on several hosts: the ranks of one host share memory, hosts talk MPI.</summary>
/// <remarks>
/// <para>What all ranks get crosses the network once per host, and is spread there through shared memory: in all-gather, broadcast, and the
/// second half of all-reduce. What each rank gets for itself is collected on the host it comes from, and crosses the network in one message
/// for all ranks of that host. Messages within a host, and groups that lie on one host, do not touch MPI.</para>
/// <para>Contributions to reductions travel one by one, not as sums per host, because they are combined in rank order: the result has the
/// same bits however ranks are spread over hosts, for the price of as many contributions crossing the network as a host has ranks.</para>
/// </remarks>
internal sealed partial class HierarchicalProcessGroup : ProcessGroup
{
    private readonly MpiProcessGroup _all;
    private readonly ProcessGroup _local;
    private readonly IReadOnlyList<string> _hosts;
    private readonly HostMap _map;
    private readonly MpiTransfers[] _steps;

    /// <param name="all">All members, through MPI; owned from now on.</param>
    /// <param name="local">The members on this host, in the same order, through shared memory; owned from now on.</param>
    /// <param name="hosts">Host of every member.</param>
    public HierarchicalProcessGroup(MpiProcessGroup all, ProcessGroup local, IReadOnlyList<string> hosts)
        : base(all.Name, all.Rank, all.GlobalRanks)
    {
        (_all, _local, _hosts, _map) = (all, local, hosts, new HostMap(hosts));
        _steps = [new MpiTransfers(all, all.CollectiveTag), new MpiTransfers(all, all.CollectiveTag)];
        _pieces = new PieceExchange(all, local, _map);
    }

    /// <summary>The job.</summary>
    public MpiWorld World => _all.World;

    internal override IRankDelays Delays => World.Delays;

    internal override ProcessGroup WithoutHierarchy => _all;

    private int Host => _map.HostOf(Rank);

    internal override IFailureBoard Failures => _all.Failures;

    private protected override void Execute(in CollectiveCall call)
    {
        switch (call.Kind)
        {
            case CollectiveKind.Send or CollectiveKind.Receive when _map.HostOf(call.Peer) == Host:
                _local.Perform(call with { Peer = _map.PlaceOf(call.Peer) });
                break;
            case CollectiveKind.Send or CollectiveKind.Receive:
                _all.Perform(call);
                break;
            default:
                if (!_all.TryFinishSmall(call))
                    MoveOrAbandon(call);
                break;
        }
    }

    private protected override ProcessGroup CreateSubgroup(
        string name, IReadOnlyList<IReadOnlyList<int>> partition, IReadOnlyList<int> mine, CallSite site)
    {
        IEnumerable<int> Here(IReadOnlyList<int> part) => part.Where(member => _map.HostOf(member) == Host).Select(_map.PlaceOf);
        var local = _local.SplitOff(name, [.. partition.Select(part => Here(part).ToArray()).Where(part => part.Length > 0)], site);
        var all = _all.SplitOff(name, partition, site);
        string[] hosts = [.. mine.Select(member => _hosts[member])];
        var map = new HostMap(hosts);
        if (map.Hosts > 1 && map.AnyShared)
            return new HierarchicalProcessGroup((MpiProcessGroup)all, local, hosts);
        var (kept, spare) = map.Hosts == 1 ? (local, all) : (all, local);
        spare.Dispose();
        return kept;
    }

    private protected override void Leave()
    {
        if (!World.HasFailed)
            _pieces.Dispose();
        _all.Dispose();
        _local.Dispose();
    }

    private void MoveOrAbandon(in CollectiveCall call)
    {
        try
        {
            Move(call);
        }
        catch (Exception failure)
        {
            foreach (var transfers in _steps)
                transfers.Dispose();
            _pieces.Abandon();
            if (failure is not MpiException)
                throw;
            throw _all.Broken(call, (MpiException)failure);
        }
    }

    private void Move(in CollectiveCall call)
    {
        switch (call.Kind)
        {
            case CollectiveKind.AllReduce:
                AllReduce(call);
                break;
            case CollectiveKind.ReduceScatter:
                ReduceScatter(call);
                break;
            case CollectiveKind.Reduce:
                Reduce(call);
                break;
            case CollectiveKind.AllGather:
                Gather(call, call.Input.Length, call.Output);
                break;
            case CollectiveKind.Gather:
                GatherAtRoot(call);
                break;
            case CollectiveKind.Scatter:
                ScatterFromRoot(call);
                break;
            case CollectiveKind.AllToAll:
                AllToAll(call);
                break;
            default:
                Broadcast(call);
                break;
        }
    }

    private void CompleteSteps()
    {
        foreach (var transfers in _steps)
            transfers.Complete(_all.Current);
    }
}
