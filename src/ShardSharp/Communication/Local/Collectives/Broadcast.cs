namespace ShardSharp.Communication.Local.Collectives;

/// <summary>Broadcast: the root publishes, the others collect.</summary>
internal readonly unsafe struct Broadcast(LocalProcessGroup group, CollectiveCall call) : IStagedCollective
{
    private readonly Chunking _chunking = new(call.AgreedBytes);

    public static bool FetchesResults => false;

    public int Chunks => _chunking.Count;

    public void Publish(int chunk)
    {
        if (group.Rank == call.Peer)
            call.Input.Read(_chunking.Offset(chunk), group.Contribution(group.Rank, chunk), _chunking.Length(chunk));
    }

    public void Combine(int chunk)
    {
        if (group.Rank != call.Peer)
            call.Output.Write(_chunking.Offset(chunk), group.Contribution(call.Peer, chunk), _chunking.Length(chunk));
    }
}
