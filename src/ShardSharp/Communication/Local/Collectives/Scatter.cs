namespace ShardSharp.Communication.Local.Collectives;

/// <summary>Scatter: the root publishes a piece of every share, each rank takes its own.</summary>
internal readonly unsafe struct Scatter(LocalProcessGroup group, CollectiveCall call) : IStagedCollective
{
    private readonly Chunking _chunking = new(call.Output.Length, group.Size);

    public static bool FetchesResults => false;

    public int Chunks => _chunking.Count;

    public void Publish(int chunk)
    {
        if (group.Rank == call.Peer)
            group.PublishShares(call.Input, call.Output.Length, _chunking, chunk);
    }

    public void Combine(int chunk)
    {
        var (offset, length) = (_chunking.Offset(chunk), _chunking.Length(chunk));
        if (group.Rank == call.Peer)
            OwnShare.Copy(call, (group.Rank * call.Output.Length) + offset, offset, length);
        else
            call.Output.Write(offset, group.Contribution(call.Peer, chunk) + (group.Rank * length), length);
    }
}
