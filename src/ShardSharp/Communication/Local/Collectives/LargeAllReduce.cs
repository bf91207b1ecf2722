namespace ShardSharp.Communication.Local.Collectives;

/// <summary>All-reduce of much data: each rank reduces its slice of every chunk and collects the other slices from the ranks that did.</summary>
internal readonly unsafe struct LargeAllReduce(LocalProcessGroup group, CollectiveCall call) : IStagedCollective
{
    private readonly Chunking _chunking = new(call.Input.Length);

    public static bool FetchesResults => true;

    public int Chunks => _chunking.Count;

    public void Publish(int chunk)
    {
        var target = group.Contribution(group.Rank, chunk);
        for (var member = 0; member < group.Size; member++)
        {
            var (start, length) = Slice(chunk, member);
            if (member != group.Rank)
                call.Input.Read(_chunking.Offset(chunk) + start, target + start, length);
        }
    }

    public void Combine(int chunk)
    {
        var (start, length) = Slice(chunk, group.Rank);
        new Contributions(group, call, chunk).Reduce(
            start, _chunking.Offset(chunk) + start, length, mirror: group.Result(group.Rank, chunk));
    }

    public void Fetch(int chunk)
    {
        for (var member = 0; member < group.Size; member++)
        {
            var (start, length) = Slice(chunk, member);
            if (member != group.Rank)
                call.Output.Write(_chunking.Offset(chunk) + start, group.Result(member, chunk), length);
        }
    }

    private (long Start, long Length) Slice(int chunk, int member) => Chunking.Slice(_chunking.Length(chunk), member, group.Size);
}
