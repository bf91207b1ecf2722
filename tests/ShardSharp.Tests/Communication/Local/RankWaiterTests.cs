using ShardSharp.Communication;
using ShardSharp.Communication.Local;

namespace ShardSharp.Tests.Communication.Local;

public sealed class RankWaiterTests
{
    [Fact]
    public unsafe void Says_why_a_rank_is_gone_while_another_rank_still_writes_that_down()
    {
        var memory = new byte[RankRoster.BytesFor(2)];
        var signature = new byte[PublishedSignature.Bytes];
        var counters = new int[2];
        fixed (byte* roster = memory, call = signature)
        fixed (int* counter = counters)
        {
            var ranks = new RankRoster(roster, 2, ranksAreProcesses: false);
            ranks.Leave(1);
            *(int*)roster = RankRoster.FailureBeingWritten;
            var waiter = new RankWaiter(ranks, Timeout.InfiniteTimeSpan, mayOwnCore: false);
            var wait = new PendingWait(0, 1, "world", new PublishedSignature(call), Theirs: null);

            var address = (nint)counter;
            var failure = Assert.Throws<RankFailedException>(() => waiter.WaitFor((int*)address, (int*)address + 1, 1, wait));
            Assert.StartsWith("Rank 1 has finished its program, but other ranks still need it.\n  Rank 0 is in ", failure.Message,
                StringComparison.Ordinal);
        }
    }
}
