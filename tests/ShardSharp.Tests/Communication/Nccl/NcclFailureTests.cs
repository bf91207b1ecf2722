using ShardSharp.Communication;
using ShardSharp.Communication.Nccl;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Communication.Nccl;

/// <summary>Whatever goes wrong with a GPU's communication ends all ranks with a reason, and gives up what NCCL would wait for for ever.</summary>
public sealed class NcclFailureTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(2);

    public static TheoryData<string, Action<ProcessGroup>> Disagreements => new()
    {
        { "size", group => group.AllReduce(zeros(3 + group.Rank)) },
        { "type", group => group.AllReduce(zeros(4, group.Rank == 0 ? ScalarType.Int32 : ScalarType.Float32)) },
        { "reduction", group => group.AllReduce(zeros(4), group.Rank == 0 ? ReduceOperation.Max : ReduceOperation.Min) },
        { "root", group => group.Broadcast(zeros(4), group.Rank) },
        { "nothing", group => group.AllReduce(zeros(group.Rank)) },
        { "background", group => group.AllReduceAsync(zeros(4 + group.Rank)).Wait() },
        { "completion", group => group.AllReduceAsync(zeros(4 + group.Rank)).Completion.GetAwaiter().GetResult() },
        { "lists", group => group.AllReduce(group.Rank == 0 ? [zeros(1), zeros(3)] : [zeros(2), zeros(2)]) },
    };

    [Theory]
    [MemberData(nameof(Disagreements))]
    public void Different_calls_are_an_error_on_every_rank(string what, Action<ProcessGroup> program)
    {
        var reports = new List<string>();
        var run = new FakeNcclRun { Ranks = 2, FailureReported = reports.Add };
        var failures = run.Capture(group =>
        {
            program(group);
            group.Barrier();
        });

        Assert.True(failures.Count == 2, what);
        Assert.All(failures, failure =>
        {
            var mismatch = Assert.IsType<CollectiveMismatchException>(failure.Failure);
            Assert.Matches(@"rank 0: #1 .* at NcclFailureTests.cs:\d+\s+rank 1: #1 ", mismatch.Message);
        });
        Assert.Contains("The last ", Assert.Single(reports), StringComparison.Ordinal);
        Assert.All(run.Libraries.Values, library => Assert.Equal(1, library.Aborted));
    }

    [Fact]
    public void A_failure_that_the_program_never_meets_is_thrown_when_the_group_is_left()
    {
        var failures = new FakeNcclRun { Ranks = 2 }.Capture(group => _ = group.AllReduceAsync(zeros(4 + group.Rank)));
        Assert.Equal(2, failures.Count);
        Assert.All(failures, failure => Assert.IsType<CollectiveMismatchException>(failure.Failure));
    }

    [Fact]
    public void A_message_of_another_size_is_an_error_on_both_ends()
    {
        var failures = new FakeNcclRun { Ranks = 2 }.Capture(group =>
        {
            if (group.Rank == 0)
                group.Send(zeros(4), 1);
            else
                group.Receive(zeros(5), 0);
            group.Barrier();
        });
        Assert.Equal(2, failures.Count);
        Assert.All(failures, failure => Assert.Contains(
            "send to 1 of 4 Float32 at NcclFailureTests.cs:", failure.Failure.Message, StringComparison.Ordinal));
        Assert.IsType<CollectiveMismatchException>(Assert.Single(failures, failure => failure.Rank == 1).Failure);
        Assert.IsType<RankFailedException>(Assert.Single(failures, failure => failure.Rank == 0).Failure);
    }

    [Fact]
    public void A_rank_that_throws_ends_the_others()
    {
        var failures = new FakeNcclRun { Ranks = 3 }.Capture(group =>
        {
            if (group.Rank == 2)
                throw new InvalidOperationException("out of cheese");
            group.AllReduce(zeros(100));
            group.Barrier();
        });
        Assert.Equal(3, failures.Count);
        Assert.All(failures.Where(failure => failure.Rank != 2), failure =>
        {
            Assert.IsType<RankFailedException>(failure.Failure);
            Assert.Contains("Rank 2 failed: out of cheese", failure.Failure.Message, StringComparison.Ordinal);
        });
    }

    [Fact]
    public void A_rank_that_throws_while_the_GPUs_work_ends_them()
    {
        var run = new FakeNcclRun { Ranks = 2 };
        var failures = run.Capture(group =>
        {
            run.Libraries[group.Rank].IsStalled = group.Rank == 1;
            var work = group.AllReduceAsync(zeros(100));
            if (group.Rank == 1)
                throw new InvalidOperationException("out of cheese");
            work.Wait();
        });
        Assert.Equal(2, failures.Count);
        var consequence = Assert.IsType<RankFailedException>(Assert.Single(failures, failure => failure.Rank == 0).Failure);
        Assert.StartsWith("Rank 1 failed: out of cheese", consequence.Message, StringComparison.Ordinal);
        Assert.All(run.Libraries.Values, library => Assert.Equal(1, library.Aborted));
    }

    [Fact]
    public void A_wait_past_the_deadline_says_what_the_GPU_did_not_finish()
    {
        var run = new FakeNcclRun { Ranks = 2, Deadline = Soon };
        var failures = run.Capture(group =>
        {
            run.Libraries[group.Rank].IsStalled = group.Rank == 1;
            group.AllReduce(zeros(100));
        });
        Assert.Equal(2, failures.Count);
        Assert.Contains(failures, failure => failure.Failure is CollectiveTimeoutException
            && failure.Failure.Message.Contains("all ranks have called it, and NCCL did not finish", StringComparison.Ordinal));
    }

    [Fact]
    public void A_rank_that_never_calls_runs_into_the_deadline_of_the_others()
    {
        using var release = new ManualResetEventSlim();
        var failures = new FakeNcclRun { Ranks = 2, Deadline = Soon }.Capture(group =>
        {
            if (group.Rank == 1)
            {
                release.Wait(TestContext.Current.CancellationToken);
                return;
            }

            try
            {
                group.AllReduce(zeros(4));
            }
            finally
            {
                release.Set();
            }
        });
        Assert.Contains("waits for rank 1", Assert.IsType<CollectiveTimeoutException>(Assert.Single(failures).Failure).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void What_NCCL_reports_later_ends_the_operation()
    {
        var run = new FakeNcclRun { Ranks = 2 };
        var failures = run.Capture(group =>
        {
            run.Libraries[group.Rank].IsStalled = group.Rank == 1;
            group.Barrier();
            var work = group.AllReduceAsync(zeros(100));
            if (group.Rank == 0)
                run.Libraries[0].Health = NcclResult.RemoteError;
            work.Wait();
        });
        Assert.Equal(2, failures.Count);
        Assert.Contains("NCCL failed on rank 0 in group 'world': fake RemoteError (as the test wants it)", failures[0].Failure.Message, StringComparison.Ordinal);
        Assert.IsType<CommunicationException>(Assert.Single(failures, failure => failure.Rank == 0).Failure);
        Assert.IsType<RankFailedException>(Assert.Single(failures, failure => failure.Rank == 1).Failure);
    }

    [Fact]
    public void What_NCCL_refuses_ends_the_operation()
    {
        var failures = new FakeNcclRun { Ranks = 2, AnswerOnRank1 = NcclResult.InvalidArgument }.Capture(group => group.AllReduce(zeros(4)));
        Assert.Equal(2, failures.Count);
        Assert.All(failures, failure => Assert.Contains(
            "ncclAllReduce failed on rank 1 in group 'world': fake InvalidArgument", failure.Failure.Message, StringComparison.Ordinal));
    }

    [Fact]
    public void Types_that_NCCL_cannot_reduce_are_refused_before_anyone_is_involved() => new FakeNcclRun { Ranks = 2 }.Run(group =>
    {
        using var tensor = zeros(4, ScalarType.Int16);
        Assert.Contains("Int16", Assert.Throws<NotSupportedException>(() => group.AllReduce(tensor)).Message, StringComparison.Ordinal);
        Assert.Throws<NotSupportedException>(() => group.ReduceAsync(tensor, 0));
        group.Broadcast(tensor, 0);
    });

    [Fact]
    public void Ranks_that_share_a_GPU_are_told_so()
    {
        var failures = Testing.RankHarness.Capture(2, host =>
        {
            using var gpu = new FakeGpu { Identity = "GPU-one" };
            using var nccl = new FakeNccl(new(), gpu);
            NcclRendezvous.Join(host, nccl, gpu, gpu, Soon, new CallSite("run", 0));
        });
        Assert.Equal(2, failures.Count);
        Assert.All(failures, failure => Assert.StartsWith("Ranks 0, 1 have the same GPU, GPU-one;", failure.Failure.Message, StringComparison.Ordinal));
    }

    [Fact]
    public void Ranks_share_a_GPU_where_the_user_lets_them()
    {
        var cliques = new System.Collections.Concurrent.ConcurrentDictionary<Guid, FakeClique>();
        Testing.RankHarness.Run(2, host =>
        {
            using var gpu = new FakeGpu { Identity = "GPU-one" };
            using var nccl = new FakeNccl(cliques, gpu);
            using var group = NcclRendezvous.Join(host, nccl, gpu, gpu, TimeSpan.FromMinutes(1), new CallSite("run", 0), sharesDevices: true);
            using var tensor = ones(3);
            group.AllReduce(tensor);
            Assert.Equal(6, tensor.sum().item<float>());
        });
        Assert.Equal([0, 1, 0, 1], Enumerable.Range(0, 4).Select(rank => NcclRendezvous.DeviceOf(2, rank, 4, sharesDevices: true)));
    }

    [Theory]
    [InlineData(8, 3, 4, 3)]
    [InlineData(4, 3, 4, 3)]
    [InlineData(1, 3, 4, 0)]
    [InlineData(2, 0, 1, 0)]
    public void A_rank_takes_the_GPU_of_its_number_or_the_only_one(int visible, int rank, int ranks, int expected) =>
        Assert.Equal(expected, NcclRendezvous.DeviceOf(visible, rank, ranks));

    [Fact]
    public void Too_few_GPUs_are_an_error() => Assert.Contains(
        "4 ranks on this host, 2 GPUs", Assert.Throws<CommunicationException>(() => NcclRendezvous.DeviceOf(2, 0, 4)).Message, StringComparison.Ordinal);
}
