using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Communication.Nccl;

/// <summary>What exactly the NCCL backend asks of the GPU and of NCCL, in which order.</summary>
public sealed class NcclCallTests
{
    private const int MostAttempts = 10;

    /// <summary>Of a group of two: its stream is 2, its communicator 1; the caller's event is 3, that of the end 4.</summary>
    [Fact]
    public void A_blocking_operation_orders_the_current_stream_and_not_the_host() => Assert.Equal(
        [
            "record 3 on current", "stream 2 waits for 3",
            "ncclGroupStart", "ncclAllReduce 6 Float32 Sum on 1, stream 2", "ncclGroupEnd",
            "record 4 on stream 2", "current waits for 4",
        ],
        CallsOf(group => group.AllReduce(zeros(6))));

    [Fact]
    public void A_background_operation_orders_the_current_stream_when_it_is_waited_for()
    {
        var marks = new List<int>();
        var calls = CallsOf(group =>
        {
            var work = group.AllReduceAsync(zeros(6), ReduceOperation.Mean);
            work.Completion.Wait(TestContext.Current.CancellationToken);
            Assert.True(work.IsCompleted);
            work.Wait();

            var second = group.AllReduceAsync(zeros(7), ReduceOperation.Max);
            second.Wait();
        });
        Assert.Equal(
            [
                "record 3 on current", "stream 2 waits for 3",
                "ncclGroupStart", "ncclAllReduce 6 Float32 Average on 1, stream 2", "ncclGroupEnd", "record 4 on stream 2",
                "record 5 on current", "stream 2 waits for 5",
                "ncclGroupStart", "ncclAllReduce 7 Float32 Max on 1, stream 2", "ncclGroupEnd", "record 6 on stream 2",
                "current waits for 6",
            ],
            calls);
    }

    public static TheoryData<string, Action<ProcessGroup>, string[]> Operations => new()
    {
        { "list", group => group.AllReduce([zeros(2), zeros(0), zeros(5)]), ["ncclAllReduce 2 Float32 Sum", "ncclAllReduce 5 Float32 Sum"] },
        { "gather", group => group.AllGather(zeros(6), zeros(3)), ["ncclAllGather 12 UInt8"] },
        { "scatter", group => group.ReduceScatter(zeros(3, ScalarType.BFloat16), zeros(6, ScalarType.BFloat16)),
            ["ncclReduceScatter 3 BFloat16 Sum"] },
        { "scatter of a list", group => group.ReduceScatterAsync(zeros(4), [zeros(3), zeros(5)]).Wait(),
            ["ncclReduce 3 Float32 Sum 0", "ncclReduce 1 Float32 Sum 0", "ncclReduce 4 Float32 Sum 1"] },
        { "broadcast", group => group.Broadcast(zeros(3, ScalarType.Int16), 1), ["ncclBroadcast 6 UInt8 1"] },
        { "reduce", group => group.Reduce(zeros(3), 1, ReduceOperation.Product), ["ncclReduce 3 Float32 Product 1"] },
        { "complex", group => group.AllReduce(zeros(3, ScalarType.ComplexFloat64), ReduceOperation.Mean), ["ncclAllReduce 6 Float64 Average"] },
        { "or", group => group.AllReduce(zeros(3, ScalarType.Bool)), ["ncclAllReduce 3 UInt8 Max"] },
        { "and", group => group.AllReduce(zeros(3, ScalarType.Bool), ReduceOperation.Product), ["ncclAllReduce 3 UInt8 Min"] },
        { "all to all", group => group.AllToAll(zeros(4), zeros(4)), ["ncclSend 8 UInt8 0", "ncclRecv 8 UInt8 0", "ncclSend 8 UInt8 1", "ncclRecv 8 UInt8 1"] },
        { "gather to 0", group => group.Gather(group.Rank == 0 ? zeros(4) : null, zeros(2), 0),
            ["ncclSend 8 UInt8 0", "ncclRecv 8 UInt8 0", "ncclRecv 8 UInt8 1"] },
        { "scatter from 1", group => group.Scatter(zeros(2), group.Rank == 1 ? zeros(4) : null, 1), ["ncclRecv 8 UInt8 1"] },
        { "nothing", group => group.AllReduce(zeros(0)), [] },
        { "host", group => group.AllGatherObject("word"), [] },
    };

    [Theory]
    [MemberData(nameof(Operations))]
    public void Operations_become_calls_of_NCCL(string what, Action<ProcessGroup> program, string[] expected)
    {
        var calls = CallsOf(program).Where(call => call.StartsWith("nccl", StringComparison.Ordinal) && !call.Contains("Group", StringComparison.Ordinal));
        Assert.True(expected.SequenceEqual(calls.Select(call => call.Split(" on ")[0])), what);
    }

    [Fact]
    public void Messages_have_a_communicator_of_their_two_ranks_for_each_direction() => Assert.Equal(
        [
            "record 3 on current", "ncclCommInitRankConfig 2: rank 0 of 2", "stream 4 waits for 3", "ncclSend 12 UInt8 1 on 2, stream 4",
            "record 5 on stream 4", "current waits for 5",
            "record 6 on current", "ncclCommInitRankConfig 3: rank 1 of 2", "stream 7 waits for 6", "ncclRecv 8 UInt8 0 on 3, stream 7",
            "record 8 on stream 7", "current waits for 8",
        ],
        CallsOf(group =>
        {
            using var scope = NewDisposeScope();
            var (three, two) = (zeros(3), zeros(2));
            if (group.Rank == 0)
            {
                group.Send(three, 1);
                group.Receive(two, 1);
            }
            else
            {
                group.Receive(three, 0);
                group.Send(two, 0);
            }
        }));

    [Fact]
    public void A_strided_result_is_copied_back_on_the_groups_stream() => new FakeNcclRun { Ranks = 2 }.Run(group =>
    {
        using var matrix = zeros(4, 2);
        using var column = matrix.select(1, 1);
        column.fill_(group.Rank + 1);
        var work = group.AllReduceAsync(column);
        work.Wait();
        Assert.Equal(12, matrix.sum().item<float>());
    });

    [Fact]
    public void Shares_of_a_list_go_to_their_ranks() => new FakeNcclRun { Ranks = 3 }.Run(group =>
    {
        using var scope = NewDisposeScope();
        var output = zeros(4);
        group.ReduceScatterAsync(output, [arange(0, 5, ScalarType.Float32), arange(5, 6, ScalarType.Float32), arange(6, 12, ScalarType.Float32)]).Wait();
        Assert.True(output.eq(arange(4 * group.Rank, 4 * (group.Rank + 1), ScalarType.Float32) * 3).all().item<bool>());
    });

    [Fact]
    public void Tensors_on_the_CPU_go_through_the_host()
    {
        var run = new FakeNcclRun { Ranks = 2, Holds = tensor => tensor.numel() > 1 };
        run.Run(group =>
        {
            using var scope = NewDisposeScope();
            var (small, large) = (ones(1), ones(2));
            var work = group.AllReduceAsync(large);
            group.AllReduce(small);
            Assert.Equal((2, 4), (small.item<float>(), large.sum().item<float>()));
            work.Wait();
        });
        Assert.Single(run.Gpus[0].Calls, call => call.StartsWith("ncclAllReduce", StringComparison.Ordinal));
    }

    /// <summary>What rank 0 of two was asked to do by a program, without the beginning and the end of the group.</summary>
    /// <summary>What rank 0 asked its GPU to do in a run in which it waited for every operation: one that had ended before is not waited for.</summary>
    private static List<string> CallsOf(Action<ProcessGroup> program)
    {
        for (var attempt = 1; ; attempt++)
        {
            var run = new FakeNcclRun { Ranks = 2 };
            run.Run(program);
            Assert.Equal("ncclCommInitRankConfig 1: rank 0 of 2", run.Gpus[0].Calls[0]);
            List<string> calls = [.. run.Gpus[0].Calls.Skip(1).TakeWhile(call => !call.StartsWith("ncclCommDestroy", StringComparison.Ordinal))];
            var ends = calls.Count(call => call.StartsWith("record", StringComparison.Ordinal) && call.Contains(" on stream", StringComparison.Ordinal));
            var waits = calls.Count(call => call.StartsWith("current waits", StringComparison.Ordinal));
            if (waits >= ends || attempt == MostAttempts)
                return calls;
        }
    }
}
