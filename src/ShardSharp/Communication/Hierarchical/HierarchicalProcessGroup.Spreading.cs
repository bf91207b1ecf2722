using ShardSharp.Communication.Local.Collectives;
using ShardSharp.Communication.Mpi;

namespace ShardSharp.Communication.Hierarchical;

internal sealed partial class HierarchicalProcessGroup
{
    /// <summary>Shares of a reduction begin at cache lines, which hold a whole number of elements of any type.</summary>
    private const int Alignment = 64;

    /// <summary>Each rank combines one share of the whole; then the shares are gathered; what is left over by then is some bytes.</summary>
    private void AllReduce(in CollectiveCall call)
    {
        var share = call.Input.Length / Size / Alignment * Alignment;
        var shared = share * Size;
        ReduceScatter(call with
        {
            Kind = CollectiveKind.ReduceScatter,
            Input = call.Input.Slice(0, shared),
            Output = call.Output.Slice(Rank * share, share),
        });
        var rest = call.Input.Length - shared;
        _all.Transfer(call with { Input = call.Input.Slice(shared, rest), Output = call.Output.Slice(shared, rest) });
        var gathered = call.Output.Slice(0, shared);
        Gather(call with { Kind = CollectiveKind.AllGather, Input = gathered.Slice(Rank * share, share), Output = gathered }, share, gathered);
    }

    /// <summary>Every share goes to one rank of every other host; then the ranks of a host exchange all that they have.</summary>
    private void Gather(in CollectiveCall call, long share, FlatBuffer output)
    {
        OwnShare.Copy(call, 0, Rank * share, share);
        var step = 0;
        for (var offset = 0L; offset < share; offset += MpiProcessGroup.StepBytes, step++)
        {
            var (transfers, length) = (_steps[step & 1], Math.Min(MpiProcessGroup.StepBytes, share - offset));
            transfers.Complete(_all.Current);
            for (var distance = 1; distance < Size; distance++)
            {
                var (source, target) = ((Rank - distance + Size) % Size, (Rank + distance) % Size);
                if (_map.HostOf(source) != Host && _map.DeputyOf(source, Host) == Rank)
                    transfers.Receive(source, output, (source * share) + offset, length);
                if (_map.HostOf(target) != Host && _map.DeputyOf(Rank, _map.HostOf(target)) == target)
                    transfers.Send(target, call.Input, offset, length);
            }
        }

        CompleteSteps();
        for (var host = 0; host < _map.Hosts; host++)
        {
            foreach (var members in _map.MembersOn(host).Chunk(_local.Size))
                ExchangeLocally(call, share, output, members);
        }
    }

    /// <summary>The ranks of this host give each other the shares of some members, of which each rank has one at most.</summary>
    private void ExchangeLocally(in CollectiveCall call, long share, FlatBuffer output, int[] members)
    {
        if (members.Length == _local.Size)
        {
            var mine = members[_map.PlaceOf(Rank)];
            _local.Perform(call with
            {
                Kind = CollectiveKind.AllGather,
                Input = output.Slice(mine * share, share),
                Output = output.Join(members.Select(member => (member * share, share))),
            });
            return;
        }

        foreach (var member in members)
            BroadcastLocally(call, _map.DeputyOf(member, Host), output.Slice(member * share, share));
    }

    /// <summary>The root sends to one rank of every other host, and that rank, chunk by chunk, to the others there.</summary>
    private void Broadcast(in CollectiveCall call)
    {
        var buffer = Rank == call.Peer ? call.Input : call.Output;
        var (step, done) = (0, 0L);
        for (var offset = 0L; offset < buffer.Length; offset += MpiProcessGroup.StepBytes, step++)
        {
            var (transfers, length) = (_steps[step & 1], Math.Min(MpiProcessGroup.StepBytes, buffer.Length - offset));
            for (var host = 0; host < _map.Hosts; host++)
            {
                var deputy = _map.DeputyOf(call.Peer, host);
                if (Rank == call.Peer && deputy != Rank)
                    transfers.Send(deputy, buffer, offset, length);
                else if (Rank == deputy && Rank != call.Peer)
                    transfers.Receive(call.Peer, buffer, offset, length);
            }

            if (step == 0)
                continue;
            FinishStep(call, step - 1, buffer.Slice(done, offset - done));
            done = offset;
        }

        FinishStep(call, step - 1, buffer.Slice(done, buffer.Length - done));
    }

    private void FinishStep(in CollectiveCall call, int step, FlatBuffer chunk)
    {
        _steps[step & 1].Complete(_all.Current);
        BroadcastLocally(call, _map.DeputyOf(call.Peer, Host), chunk);
    }

    private void BroadcastLocally(in CollectiveCall call, int source, FlatBuffer buffer) => _local.Perform(call with
    {
        Kind = CollectiveKind.Broadcast,
        Input = source == Rank ? buffer : default,
        Output = source == Rank ? default : buffer,
        Peer = _map.PlaceOf(source),
    });
}
