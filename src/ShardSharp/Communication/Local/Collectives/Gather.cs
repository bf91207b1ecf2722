namespace ShardSharp.Communication.Local.Collectives;

/// <summary>Gather, and all-gather: everyone publishes; whoever has room for the result collects it.</summary>
internal readonly unsafe struct Gather(LocalProcessGroup group, CollectiveCall call) : IStagedCollective
{
    private readonly Chunking _chunking = new(call.Input.Length);

    public static bool FetchesResults => false;

    public int Chunks => _chunking.Count;

    public void Publish(int chunk)
    {
        if (call.Peer != group.Rank)
            call.Input.Read(_chunking.Offset(chunk), group.Contribution(group.Rank, chunk), _chunking.Length(chunk));
    }

    public void Combine(int chunk)
    {
        if (call.Output.Length == 0)
            return;
        var (offset, length) = (_chunking.Offset(chunk), _chunking.Length(chunk));
        for (var member = 0; member < group.Size; member++)
        {
            var target = (member * call.Input.Length) + offset;
            if (member != group.Rank)
                call.Output.Write(target, group.Contribution(member, chunk), length);
            else
                OwnShare.Copy(call, offset, target, length);
        }
    }
}
