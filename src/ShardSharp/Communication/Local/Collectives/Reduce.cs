namespace ShardSharp.Communication.Local.Collectives;

/// <summary>Reduce to a root: the others publish, the root reduces.</summary>
internal readonly unsafe struct Reduce(LocalProcessGroup group, CollectiveCall call) : IStagedCollective
{
    private readonly Chunking _chunking = new(call.Input.Length);

    public static bool FetchesResults => false;

    public int Chunks => _chunking.Count;

    public void Publish(int chunk)
    {
        if (group.Rank != call.Peer)
            call.Input.Read(_chunking.Offset(chunk), group.Contribution(group.Rank, chunk), _chunking.Length(chunk));
    }

    public void Combine(int chunk)
    {
        if (group.Rank == call.Peer)
            new Contributions(group, call, chunk).Reduce(0, _chunking.Offset(chunk), _chunking.Length(chunk), mirror: null);
    }
}
