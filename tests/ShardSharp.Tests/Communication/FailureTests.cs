using ShardSharp.Communication;
using ShardSharp.Testing;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Communication;

/// <summary>Whatever goes wrong on one rank reaches all of them, with a message that says what happened and who waited.</summary>
public sealed class FailureTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromMilliseconds(300);

    public static TheoryData<RankBackend> Backends => [RankBackend.Threads, RankBackend.SharedMemory];

    [Theory]
    [MemberData(nameof(Backends))]
    public void Different_collectives_are_an_error_on_every_rank(RankBackend backend)
    {
        var failures = Capture(3, backend, group =>
        {
            group.Barrier();
            if (group.Rank == 1)
                group.Broadcast(zeros(4), 0);
            else
                group.AllReduce(zeros(4));
        });
        Assert.Equal(3, failures.Count);
        Assert.All(failures, failure =>
        {
            Assert.IsType<CollectiveMismatchException>(failure.Failure);
            Assert.Contains("rank 1: #2 broadcast from 0 of 4 Float32 at FailureTests.cs:", failure.Failure.Message, StringComparison.Ordinal);
            Assert.Contains("rank 2: #2 all_reduce (sum) of 4 Float32 at FailureTests.cs:", failure.Failure.Message, StringComparison.Ordinal);
        });
    }

    public static TheoryData<string, Action<ProcessGroup>> Disagreements => new()
    {
        { "size", group => group.AllReduce(zeros(3 + group.Rank)) },
        { "type", group => group.AllReduce(zeros(4, group.Rank == 0 ? ScalarType.Int32 : ScalarType.Float32)) },
        { "reduction", group => group.AllReduce(zeros(4), group.Rank == 0 ? ReduceOperation.Max : ReduceOperation.Min) },
        { "root", group => group.Broadcast(zeros(4), group.Rank) },
        { "large size", group => group.AllReduce(zeros(1_000_000 + group.Rank)) },
        { "shared memory", group => group.AllocateShared(4 + group.Rank) },
        { "background", group => group.AllReduceAsync(zeros(4 + group.Rank)).Wait() },
    };

    [Theory]
    [MemberData(nameof(Disagreements))]
    public void Different_arguments_are_an_error_on_every_rank(string what, Action<ProcessGroup> program)
    {
        var failures = Capture(2, RankBackend.Threads, program);
        Assert.True(failures.Count == 2, what);
        Assert.All(failures, failure => Assert.IsType<CollectiveMismatchException>(failure.Failure));
    }

    [Theory]
    [MemberData(nameof(Backends))]
    public void A_message_of_another_size_is_an_error_on_both_ends(RankBackend backend)
    {
        var failures = Capture(2, backend, group =>
        {
            if (group.Rank == 0)
                group.Send(zeros(4), 1);
            else
                group.Receive(zeros(5), 0);
            group.Barrier();
        });
        Assert.Equal(2, failures.Count);
        Assert.IsType<CollectiveMismatchException>(failures[0].Failure);
        Assert.IsType<RankFailedException>(failures[1].Failure);
        Assert.Contains("send to 1 of 4 Float32", failures[1].Failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Backends))]
    public void A_rank_that_throws_ends_the_others(RankBackend backend)
    {
        var failures = Capture(3, backend, group =>
        {
            if (group.Rank == 2)
                throw new InvalidOperationException("out of cheese");
            group.AllReduce(zeros(100_000));
        });
        Assert.Equal((2, "out of cheese"), (failures[0].Rank, failures[0].Failure.Message));
        Assert.Equal(3, failures.Count);
        Assert.All(failures.Skip(1), failure =>
        {
            Assert.IsType<RankFailedException>(failure.Failure);
            Assert.Contains("Rank 2 failed: out of cheese", failure.Failure.Message, StringComparison.Ordinal);
            Assert.Contains($"Rank {failure.Rank} is in #1 all_reduce (sum) of 100000 Float32 at FailureTests.cs:", failure.Failure.Message,
                StringComparison.Ordinal);
        });
    }

    [Theory]
    [MemberData(nameof(Backends))]
    public void A_failure_reaches_ranks_that_wait_in_another_group(RankBackend backend)
    {
        var failures = Capture(4, backend, group =>
        {
            using var pair = group.Split("pair", [[0, 1], [2, 3]]);
            if (group.Rank == 0)
                throw new InvalidOperationException("gone");
            if (group.Rank == 3)
                group.Barrier();
            pair.AllReduce(zeros(10));
        });
        Assert.Equal(4, failures.Count);
        Assert.Equal(3, failures.Count(failure => failure.Failure is RankFailedException));
    }

    [Theory]
    [MemberData(nameof(Backends))]
    public void A_rank_that_finishes_early_ends_the_others(RankBackend backend)
    {
        var failures = Capture(2, backend, group =>
        {
            if (group.Rank == 1)
                group.Barrier();
        });
        var failure = Assert.Single(failures);
        Assert.IsType<RankFailedException>(failure.Failure);
        Assert.Contains("Rank 0 has finished its program, but other ranks still need it", failure.Failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Backends))]
    public void A_wait_past_the_deadline_says_who_waits_for_whom(RankBackend backend)
    {
        using var release = new ManualResetEventSlim();
        var failures = RankHarness.Capture(
            2,
            group =>
            {
                if (group.Rank == 0)
                {
                    Assert.Throws<CollectiveTimeoutException>(() => group.AllReduce(zeros(4)));
                    release.Set();
                    throw new InvalidOperationException("as expected");
                }

                release.Wait(TestContext.Current.CancellationToken);

                // Rank 0 had done its part of the first one.
                group.AllReduce(zeros(4));
                group.AllReduce(zeros(4));
            },
            new RankHarnessOptions { Backend = backend, Deadline = Soon });
        Assert.Equal("as expected", failures[0].Failure.Message);
        Assert.Contains(
            "waits for rank 1, which has called nothing in this group yet", failures[1].Failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Ranks_that_do_not_come_are_named()
    {
        var failures = RankHarness.Capture(1, _ => { });
        Assert.Empty(failures);
        var terms = new ShardSharp.Communication.Local.RunTerms(Soon, Soon);
        var job = Guid.NewGuid().ToString();
        var missing = Assert.Throws<CommunicationException>(
            () => new ShardSharp.Communication.Local.SharedMemoryRendezvous(job, 3, terms).Join(0));
        Assert.Contains("1, 2", missing.Message, StringComparison.Ordinal);
        var alone = Assert.Throws<CommunicationException>(
            () => new ShardSharp.Communication.Local.SharedMemoryRendezvous(job, 3, terms).Join(1));
        Assert.Contains("waited", alone.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Unusable_arguments_are_refused_before_anyone_is_involved() => RankHarness.Run(2, group =>
    {
        Assert.Contains("must have 8", Assert.Throws<ArgumentException>(() => group.AllGather(zeros(7), zeros(4))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => group.AllGather(zeros(8), zeros(4, ScalarType.Int32)));
        Assert.Throws<ArgumentException>(() => group.AllToAll(zeros(3), zeros(3)));
        Assert.Throws<ArgumentOutOfRangeException>(() => group.Broadcast(zeros(1), 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => group.Send(zeros(1), group.Rank));
        Assert.Throws<ArgumentException>(() => group.AllReduce(zeros(1, ScalarType.Int64), ReduceOperation.Mean));
        Assert.Throws<ArgumentException>(() => group.Split("half", [[0]]));
        Assert.Throws<ArgumentException>(() => group.AllReduce([zeros(1), zeros(1, ScalarType.Int64)]));
        group.Barrier();
    });

    private static IReadOnlyList<(int Rank, Exception Failure)> Capture(int ranks, RankBackend backend, Action<ProcessGroup> program) =>
        RankHarness.Capture(ranks, program, new RankHarnessOptions { Backend = backend });
}
