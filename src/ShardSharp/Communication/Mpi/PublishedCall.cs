using ShardSharp.Communication.Local;

namespace ShardSharp.Communication.Mpi;

/// <summary>What a rank of a group is doing, as its errors describe it.</summary>
internal readonly struct PublishedCall(ProcessGroup group, PublishedSignature signature)
{
    public PendingWait WaitFor(int member) =>
        new(group.GlobalRanks[group.Rank], group.GlobalRanks[member], group.Name, signature, Theirs: null);
}
