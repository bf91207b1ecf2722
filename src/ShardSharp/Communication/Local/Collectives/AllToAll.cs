namespace ShardSharp.Communication.Local.Collectives;

/// <summary>All-to-all: everyone publishes a piece of every share and takes its own from everyone.</summary>
internal readonly unsafe struct AllToAll(LocalProcessGroup group, CollectiveCall call) : IStagedCollective
{
    private readonly long _share = call.Input.Length / group.Size;
    private readonly Chunking _chunking = new(call.Input.Length / group.Size, group.Size);

    public static bool FetchesResults => false;

    public int Chunks => _chunking.Count;

    public void Publish(int chunk) => group.PublishShares(call.Input, _share, _chunking, chunk);

    public void Combine(int chunk)
    {
        var (offset, length) = (_chunking.Offset(chunk), _chunking.Length(chunk));
        for (var member = 0; member < group.Size; member++)
        {
            var target = (member * _share) + offset;
            if (member != group.Rank)
                call.Output.Write(target, group.Contribution(member, chunk) + (group.Rank * length), length);
            else
                OwnShare.Copy(call, target, target, length);
        }
    }
}
