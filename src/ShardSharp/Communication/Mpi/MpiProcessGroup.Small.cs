using ShardSharp.Communication.Reductions;

namespace ShardSharp.Communication.Mpi;

internal sealed unsafe partial class MpiProcessGroup
{
    /// <summary>Makes the result out of the members' data, all of which came along with their calls.</summary>
    private void FinishSmall(in CollectiveCall call)
    {
        var length = call.Output.Length;
        switch (call.Kind)
        {
            case CollectiveKind.AllReduce or CollectiveKind.Reduce:
                ReduceSmall(call, from: 0);
                break;
            case CollectiveKind.ReduceScatter:
                ReduceSmall(call, from: Rank * length);
                break;
            case CollectiveKind.Broadcast:
                call.Output.Write(0, _exchange[call.Peer].Data, length);
                break;
            case CollectiveKind.Scatter:
                call.Output.Write(0, _exchange[call.Peer].Data + (Rank * length), length);
                break;
            case CollectiveKind.AllGather or CollectiveKind.Gather or CollectiveKind.AllToAll:
                var share = length / Size;
                var from = call.Kind == CollectiveKind.AllToAll ? Rank * share : 0;
                for (var member = 0; member < Size; member++)
                    call.Output.Write(member * share, _exchange[member].Data + from, share);
                break;
        }
    }

    private void ReduceSmall(in CollectiveCall call, long from)
    {
        Span<nint> sources = stackalloc nint[Size];
        foreach (var run in call.Output.Runs(0, call.Output.Length))
        {
            for (var member = 0; member < Size; member++)
                sources[member] = (nint)(_exchange[member].Data + from + run.Offset);
            Reducer.Reduce(call.ElementType, call.Reduction, sources, run.Address, run.Length);
        }
    }
}
