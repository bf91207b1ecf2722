using ShardSharp.Communication;
using Xunit;
using static ShardSharp.Tests.Communication.ConformanceData;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Communication;

/// <summary>Messages between two ranks, and objects.</summary>
internal static class MessagePrograms
{
    public static void Messages_of_a_pair_keep_their_order(ProcessGroup group)
    {
        var ranks = group.Size;
        var (next, previous) = ((group.Rank + 1) % ranks, (group.Rank + ranks - 1) % ranks);
        if (ranks == 1)
            return;
        using var scope = NewDisposeScope();
        var sends = Lengths.Select((length, i) => group.SendAsync(Noise((group.Rank * 100) + i, length), next)).ToList();
        for (var i = 0; i < Lengths.Length; i++)
        {
            var received = zeros(Lengths[i]);
            group.Receive(received, previous);
            AssertSame(Noise((previous * 100) + i, Lengths[i]), received);
        }

        sends.ForEach(send => send.Wait());
    }

    public static void A_send_does_not_wait_behind_a_send_to_another_rank(ProcessGroup group)
    {
        var ranks = group.Size;
        if (ranks < 3)
            return;
        using var scope = NewDisposeScope();
        var large = zeros(1_000_000);
        if (group.Rank == 0)
        {
            var (first, second) = (group.SendAsync(large, 1), group.SendAsync(ones(1), 2));
            second.Wait();
            first.Wait();
        }
        else if (group.Rank == 2)
        {
            group.Receive(zeros(1), 0);
            group.Send(ones(1), 1);
        }
        else if (group.Rank == 1)
        {
            group.Receive(zeros(1), 2);
            group.Receive(large, 0);
        }
    }

    public static void Objects_travel(ProcessGroup group)
    {
        var ranks = group.Size;
        var mine = new Note(group.Rank, new string('x', group.Rank * 1000));
        Assert.Equal(Enumerable.Range(0, ranks).Select(rank => new Note(rank, new string('x', rank * 1000))), group.AllGatherObject(mine));
        Assert.Equal(new Note(ranks - 1, "last"), group.BroadcastObject(group.Rank == ranks - 1 ? new Note(ranks - 1, "last") : null, ranks - 1));
        if (ranks > 1 && group.Rank == 0)
            group.SendObject(mine, 1);
        else if (group.Rank == 1)
            Assert.Equal(new Note(0, ""), group.ReceiveObject<Note>(0));
    }

    private sealed record Note(int From, string Text);
}
