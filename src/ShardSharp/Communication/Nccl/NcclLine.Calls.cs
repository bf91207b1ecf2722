using ShardSharp.Native;

namespace ShardSharp.Communication.Nccl;

internal sealed unsafe partial class NcclLine
{
    /// <summary>Moving data does not care what the elements are.</summary>
    private const NcclElementType Bytes = NcclElementType.UInt8;

    private void Queue(in CollectiveCall call)
    {
        switch (call.Kind)
        {
            case CollectiveKind.AllReduce:
                QueuePieces(call, call.Output);
                break;
            case CollectiveKind.Broadcast:
                QueuePieces(call, _rank == call.Peer ? call.Input : call.Output);
                break;
            case CollectiveKind.ReduceScatter when IsOnePiece(call.Input):
                QueueReduceScatter(call);
                break;
            case CollectiveKind.ReduceScatter:
                QueueReductionsOfPieces(call);
                break;
            case CollectiveKind.Reduce:
                QueueReduce(call);
                break;
            case CollectiveKind.AllGather:
                Check(
                    _nccl.AllGather(Start(call.Input), Start(call.Output), (nuint)call.Input.Length, Bytes, _communicator, Stream),
                    "ncclAllGather");
                break;
            case CollectiveKind.Send:
                Send(call.Input, _size - 1 - _rank);
                break;
            case CollectiveKind.Receive:
                Receive(call.Output, _size - 1 - _rank);
                break;
            default:
                QueueExchange(call);
                break;
        }
    }

    /// <summary>One operation of NCCL for each tensor of a list, all as one.</summary>
    private void QueuePieces(in CollectiveCall call, FlatBuffer memory)
    {
        using var group = new NcclCallGroup(_nccl, Check);
        foreach (var piece in memory.Runs(0, memory.Length))
        {
            if (call.Kind == CollectiveKind.Broadcast)
            {
                Check(
                    _nccl.Broadcast(piece.Address, piece.Address, (nuint)piece.Length, Bytes, call.Peer, _communicator, Stream),
                    "ncclBroadcast");
                continue;
            }

            var (type, reduction, count) = Reduction(call, piece.Length);
            Check(_nccl.AllReduce(piece.Address, piece.Address, count, type, reduction, _communicator, Stream), "ncclAllReduce");
        }
    }

    private void QueueReduceScatter(in CollectiveCall call)
    {
        var (type, reduction, count) = Reduction(call, call.Output.Length);
        Check(
            _nccl.ReduceScatter(Start(call.Input), Start(call.Output), count, type, reduction, _communicator, Stream), "ncclReduceScatter");
    }

    /// <summary>Shares of a list of tensors begin and end within tensors: each piece of a share is reduced to the rank that gets it.</summary>
    private void QueueReductionsOfPieces(in CollectiveCall call)
    {
        using var group = new NcclCallGroup(_nccl, Check);
        var share = call.Output.Length;
        for (var owner = 0; owner < _size; owner++)
        {
            foreach (var piece in call.Input.Runs(owner * share, share))
            {
                var (type, reduction, count) = Reduction(call, piece.Length);
                var output = owner == _rank ? Start(call.Output) + (piece.Offset - (owner * share)) : null;
                Check(_nccl.Reduce(piece.Address, output, count, type, reduction, owner, _communicator, Stream), "ncclReduce");
            }
        }
    }

    private void QueueReduce(in CollectiveCall call)
    {
        var (type, reduction, count) = Reduction(call, call.Input.Length);
        Check(
            _nccl.Reduce(Start(call.Input), Start(call.Output), count, type, reduction, call.Peer, _communicator, Stream), "ncclReduce");
    }

    /// <summary>Gather, scatter and all-to-all: messages between the ranks, one's own among them, all as one.</summary>
    private void QueueExchange(in CollectiveCall call)
    {
        using var group = new NcclCallGroup(_nccl, Check);
        var (isRoot, sendsToAll) = (_rank == call.Peer, call.Kind != CollectiveKind.Gather);
        var (receivesFromAll, share) = (call.Kind != CollectiveKind.Scatter, ShareOf(call));
        for (var other = 0; other < _size; other++)
        {
            if (call.Kind == CollectiveKind.AllToAll || (sendsToAll ? isRoot : other == call.Peer))
                Send(sendsToAll ? call.Input.Slice(other * share, share) : call.Input, other);
            if (call.Kind == CollectiveKind.AllToAll || (receivesFromAll ? isRoot : other == call.Peer))
                Receive(receivesFromAll ? call.Output.Slice(other * share, share) : call.Output, other);
        }
    }

    private long ShareOf(in CollectiveCall call) => call.Kind switch
    {
        CollectiveKind.Gather => call.Input.Length,
        CollectiveKind.Scatter => call.Output.Length,
        _ => call.Input.Length / _size,
    };

    private void Send(FlatBuffer memory, int other) =>
        Check(_nccl.Send(Start(memory), (nuint)memory.Length, Bytes, other, _communicator, Stream), "ncclSend");

    private void Receive(FlatBuffer memory, int other) =>
        Check(_nccl.Receive(Start(memory), (nuint)memory.Length, Bytes, other, _communicator, Stream), "ncclRecv");

    private static (NcclElementType Type, NcclReduction Reduction, nuint Count) Reduction(in CollectiveCall call, long bytes)
    {
        var (type, perElement) = NcclTypes.Of(call.ElementType);
        var count = bytes / ElementTypes.SizeOf(call.ElementType) * perElement;
        return (type, NcclTypes.Of(call.ElementType, call.Reduction), (nuint)count);
    }

    private static bool IsOnePiece(FlatBuffer memory)
    {
        foreach (var piece in memory.Runs(0, memory.Length))
            return piece.Length == memory.Length;
        return true;
    }

    /// <summary>Where memory in one piece begins; only lists of tensors are in several.</summary>
    private static byte* Start(FlatBuffer memory)
    {
        foreach (var piece in memory.Runs(0, memory.Length))
            return piece.Address;
        return null;
    }
}
