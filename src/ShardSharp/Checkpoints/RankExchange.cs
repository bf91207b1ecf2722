using ShardSharp.Communication;

namespace ShardSharp.Checkpoints;

/// <summary>Objects between the first rank of a group, which decides, and the others, each of which may be large.</summary>
internal static class RankExchange
{
    /// <summary>Gives the first rank what each has.</summary>
    /// <returns>On the first rank all objects, in rank order; elsewhere nothing.</returns>
    public static IReadOnlyList<T> ToFirst<T>(ProcessGroup group, T mine)
    {
        if (group.Rank == 0)
            return [mine, .. Enumerable.Range(1, group.Size - 1).Select(rank => group.ReceiveObject<T>(rank))];
        group.SendObject(mine, 0);
        return [];
    }

    /// <summary>Gives each rank what the first has for it.</summary>
    /// <param name="group">The ranks.</param>
    /// <param name="all">On the first rank an object for each; ignored elsewhere.</param>
    public static T FromFirst<T>(ProcessGroup group, IReadOnlyList<T> all)
    {
        if (group.Rank != 0)
            return group.ReceiveObject<T>(0);
        for (var rank = 1; rank < group.Size; rank++)
            group.SendObject(all[rank], rank);
        return all[0];
    }
}
