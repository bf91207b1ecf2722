using System.Text.RegularExpressions;
using ShardSharp.Communication;
using ShardSharp.Testing;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Communication.Recording;

/// <summary>Whatever goes wrong between ranks is reported once, with where each of them is. Lines and times are masked.</summary>
public sealed partial class FailureReportTests
{
    // Long enough for the ranks to meet on a busy machine.
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(2);

    public static TheoryData<RankBackend> Backends => [RankBackend.Threads, RankBackend.SharedMemory];

    [Theory]
    [MemberData(nameof(Backends))]
    public void Shows_where_calls_part(RankBackend backend)
    {
        var report = ReportOf(3, backend, group =>
        {
            group.Barrier();
            if (group.Rank == 1)
                group.Broadcast(zeros(4), 0);
            else
                group.AllReduce(zeros(4));
        });
        Assert.Contains("""
            Group 'world' of ranks 0, 1, 2: all called the same up to #1 barrier; then
              ranks 0, 2: #2 all_reduce (sum) of 4 Float32 at FailureReportTests.cs:L
              rank 1: #2 broadcast from 0 of 4 Float32 at FailureReportTests.cs:L

            """, report, StringComparison.Ordinal);
        Assert.Contains("  rank 1 is in #2 broadcast from 0 of 4 Float32 in 'world' at FailureReportTests.cs:L for T\n", report, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Backends))]
    public void Shows_who_is_late_at_the_deadline(RankBackend backend)
    {
        using var release = new ManualResetEventSlim();
        var report = ReportOf(3, backend, deadline: Soon, program: group =>
        {
            group.Barrier();
            if (group.Rank == 2)
            {
                try
                {
                    group.AllReduceAsync(zeros(8)).Wait();
                }
                finally
                {
                    release.Set();
                }
            }

            release.Wait(TestContext.Current.CancellationToken);
        });
        Assert.Equal("""
            Rank 2 waited 2 s, past the deadline (collective_timeout_seconds = 2).
              Rank 2 is in #2 all_reduce (sum) of 8 Float32 at FailureReportTests.cs:L in group 'world' and waits for rank 0, whose latest call there is #1 barrier at FailureReportTests.cs:L.
            Where the ranks are, as rank 2 found them:
              rank 0 is in no call for T; its last was #1 barrier in 'world' at FailureReportTests.cs:L
              rank 1 is in no call for T; its last was #1 barrier in 'world' at FailureReportTests.cs:L
              rank 2 is in #2 all_reduce (sum) of 8 Float32 in 'world' at FailureReportTests.cs:L for T, waits for ranks 0, 1
            Group 'world' of ranks 0, 1, 2: all called the same up to #1 barrier; then
              ranks 0, 1: nothing more
              rank 2: #2 all_reduce (sum) of 8 Float32 at FailureReportTests.cs:L

            """, report[..report.IndexOf("The last 5", StringComparison.Ordinal)], ignoreLineEndingDifferences: true);
    }

    [Theory]
    [MemberData(nameof(Backends))]
    public void Shows_who_has_gone(RankBackend backend)
    {
        var report = ReportOf(2, backend, group =>
        {
            if (group.Rank == 1)
                group.Barrier();
        });
        Assert.Equal("""
            Rank 0 has finished its program, but other ranks still need it.
            Where the ranks are, as rank 1 found them:
              rank 0 has finished its program: it has called nothing yet
              rank 1 is in #1 barrier in 'world' at FailureReportTests.cs:L for T, waits for rank 0
            Group 'world' of ranks 0, 1: no call is known to be the same on all; then
              rank 0: nothing more
              rank 1: #1 barrier at FailureReportTests.cs:L
            The last 5 calls of each rank:
              rank 0: none
              rank 1:
                #1 barrier in 'world' at FailureReportTests.cs:L, running for T

            """, report, ignoreLineEndingDifferences: true);
    }

    [Theory]
    [MemberData(nameof(Backends))]
    public void Shows_both_ends_of_a_message(RankBackend backend)
    {
        var report = ReportOf(2, backend, deadline: Soon, program: group =>
        {
            if (group.Rank == 0)
                group.Receive(zeros(4), 1);
            else
                group.Receive(zeros(4), 0);
        });
        Assert.Contains("rank 0 is in #1 receive from 1 of 4 Float32 in 'world' at FailureReportTests.cs:L for T, waits for rank 1\n", report,
            StringComparison.Ordinal);
        Assert.Contains("rank 1 is in #1 receive from 0 of 4 Float32 in 'world' at FailureReportTests.cs:L for T, waits for rank 0\n", report,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Shows_what_a_rank_threw_in_that_has_left_its_call()
    {
        var call = new FlightEntry
        {
            Number = 1, Sequence = 3, Operation = "barrier", Group = "world", Elements = 0, ElementType = ScalarType.Byte, Shape = null,
            CallSite = "Program.cs:12", IsBackground = false, State = FlightState.Failed, StartTimestamp = 0, EndTimestamp = 1,
        };

        var report = new FailureReport("They differ.", 0, [new RankFlight(0, null, new HashSet<long>([0]), [call])], now: 2).Ranks();

        Assert.Contains("  rank 0 has failed in #3 barrier in 'world' at Program.cs:12\n", report, StringComparison.Ordinal);
    }

    [Fact]
    public void Is_not_made_for_a_program_that_throws() => Assert.Empty(Reports(2, RankBackend.Threads, group =>
    {
        if (group.Rank == 1)
            throw new InvalidOperationException("out of cheese");
        group.Barrier();
    }));

    private static string ReportOf(int ranks, RankBackend backend, Action<ProcessGroup> program, TimeSpan? deadline = null) =>
        Assert.Single(Reports(ranks, backend, program, deadline));

    private static List<string> Reports(int ranks, RankBackend backend, Action<ProcessGroup> program, TimeSpan? deadline = null)
    {
        var reports = new List<string>();
        var options = new RankHarnessOptions { Backend = backend, Deadline = deadline ?? TimeSpan.FromMinutes(1), FailureReported = Keep };
        Assert.NotEmpty(RankHarness.Capture(ranks, program, options));
        return reports;

        void Keep(string report)
        {
            lock (reports)
                reports.Add(Masked(report));
        }
    }

    private static string Masked(string report) => Times().Replace(Lines().Replace(report, "FailureReportTests.cs:L"), "T");

    [GeneratedRegex(@"FailureReportTests\.cs:\d+")]
    private static partial Regex Lines();

    [GeneratedRegex(@"\d+\.\d{3} s")]
    private static partial Regex Times();
}
