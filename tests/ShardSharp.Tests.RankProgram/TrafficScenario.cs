using ShardSharp.Communication;
using ShardSharp.Communication.Hierarchical;
using static TorchSharp.torch;

namespace ShardSharp.Tests;

/// <summary>Runs each collective once and prints how many messages and bytes it sent through MPI, within hosts and between them.</summary>
internal static class TrafficScenario
{
    private const long Share = 1 << 18;

    public static void Play(ProcessGroup world)
    {
        using var scope = NewDisposeScope();
        Tensor whole = zeros(Share * world.Size), other = zeros(Share * world.Size), mine = zeros(Share);
        var isRoot = world.Rank == 0;
        Count("all_reduce", () => world.AllReduce(whole));
        Count("reduce_scatter", () => world.ReduceScatter(mine, whole));
        Count("all_gather", () => world.AllGather(whole, mine));
        Count("all_to_all", () => world.AllToAll(other, whole));
        Count("broadcast", () => world.Broadcast(whole, 0));
        Count("reduce", () => world.Reduce(whole, 0));
        Count("gather", () => world.Gather(isRoot ? whole : null, mine, 0));
        Count("scatter", () => world.Scatter(mine, isRoot ? whole : null, 0));

        void Count(string operation, Action call)
        {
            var before = Sent((HierarchicalProcessGroup)world);
            call();
            var after = Sent((HierarchicalProcessGroup)world);
            double[] sent = [.. after.Zip(before, (all, some) => (double)(all - some))];
            world.AllReduce(sent.AsSpan());
            if (world.Rank == 0)
                Console.WriteLine($"{operation}: {sent[0]} messages and {sent[1]} bytes within hosts, {sent[2]} and {sent[3]} between them");
        }
    }

    private static long[] Sent(HierarchicalProcessGroup group)
    {
        var sent = new long[4];
        for (var rank = 0; rank < group.Size; rank++)
        {
            var (messages, bytes) = group.World.Communicator.SentTo(rank);
            var to = group.World.HostNames![rank] == group.World.HostNames[group.Rank] ? 0 : 2;
            sent[to] += messages;
            sent[to + 1] += bytes;
        }

        return sent;
    }
}
