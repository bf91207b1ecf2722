namespace ShardSharp.Communication.Local.Collectives;

/// <summary>Reduce-scatter: a chunk holds a piece of every rank's share, and each rank reduces its own.</summary>
internal readonly unsafe struct ReduceScatter(LocalProcessGroup group, CollectiveCall call) : IStagedCollective
{
    private readonly Chunking _chunking = new(call.Output.Length, group.Size);

    public static bool FetchesResults => false;

    public int Chunks => _chunking.Count;

    public void Publish(int chunk) => group.PublishShares(call.Input, call.Output.Length, _chunking, chunk);

    public void Combine(int chunk)
    {
        var (offset, length) = (_chunking.Offset(chunk), _chunking.Length(chunk));
        new Contributions(group, call, chunk).Reduce(
            group.Rank * length, (group.Rank * call.Output.Length) + offset, length, mirror: null, outputOffset: offset);
    }
}
