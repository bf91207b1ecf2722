namespace ShardSharp.Communication;

/// <summary>The operations of a <see cref="ProcessGroup"/>.</summary>
internal enum CollectiveKind
{
    AllReduce,
    AllGather,
    ReduceScatter,
    Broadcast,
    Reduce,
    Gather,
    Scatter,
    AllToAll,
    Barrier,
    Send,
    Receive,
}
