using ShardSharp.Communication.Local.Collectives;

namespace ShardSharp.Communication.Mpi;

internal sealed unsafe partial class MpiProcessGroup
{
    /// <summary>Bytes of the longest message: large enough to pay for its handshake, small enough to stay in the cache.</summary>
    public const int StepBytes = 512 * 1024;

    /// <summary>Two steps are under way at once, so that the next one travels while one is waited for.</summary>
    private readonly MpiTransfers[] _contributions;

    private void MoveData(in CollectiveCall call)
    {
        switch (call.Kind)
        {
            case CollectiveKind.AllReduce or CollectiveKind.Reduce:
                ReduceInSlices(call);
                break;
            case CollectiveKind.ReduceScatter:
                ReduceShares(call);
                break;
            case CollectiveKind.Broadcast:
                BroadcastInSlices(call);
                break;
            default:
                MoveShares(call);
                break;
        }
    }

    /// <summary>All-gather, gather, scatter and all-to-all: equal shares go straight from the rank that has them to the rank they are for.</summary>
    private void MoveShares(in CollectiveCall call)
    {
        var share = call.Kind switch
        {
            CollectiveKind.Scatter => call.Output.Length,
            CollectiveKind.AllToAll => call.Input.Length / Size,
            _ => call.Input.Length,
        };
        var inputStride = call.Kind is CollectiveKind.AllToAll or CollectiveKind.Scatter ? share : 0;
        var outputStride = call.Kind == CollectiveKind.Scatter ? 0 : share;
        if (call.Output.Length > 0 && call.Input.Length > 0)
            OwnShare.Copy(call, Rank * inputStride, Rank * outputStride, share);

        var step = 0;
        for (var offset = 0L; offset < share; offset += StepBytes, step++)
        {
            World.Disturb?.Invoke();
            var (transfers, length) = (_contributions[step & 1], Math.Min(StepBytes, share - offset));
            transfers.Complete(Current);
            for (var distance = 1; distance < Size; distance++)
            {
                var (source, target) = ((Rank - distance + Size) % Size, (Rank + distance) % Size);
                if (Flows(call, source, Rank))
                    transfers.Receive(source, call.Output, (source * outputStride) + offset, length);
                if (Flows(call, Rank, target))
                    transfers.Send(target, call.Input, (target * inputStride) + offset, length);
            }
        }

        CompleteAll(_contributions);
    }

    private static bool Flows(in CollectiveCall call, int source, int target) => call.Kind switch
    {
        CollectiveKind.Gather => target == call.Peer,
        CollectiveKind.Scatter => source == call.Peer,
        _ => true,
    };

    /// <summary>The collective that the members agreed on last.</summary>
    public PublishedCall Current => new(this, _exchange.Mine.Signature);

    private void CompleteAll(MpiTransfers[] steps)
    {
        foreach (var transfers in steps)
            transfers.Complete(Current);
    }
}
