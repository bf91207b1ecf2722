using System.Globalization;
using System.Text.RegularExpressions;

namespace ShardSharp.Tests.Communication.Mpi;

/// <summary>Whatever goes wrong on one rank of an MPI job ends the job within seconds, with one report of where all ranks are, on any host.</summary>
public sealed partial class MpiFailureTests
{
    private const string Report = "Where the ranks are, as rank";

    public static TheoryData<string> Launchers => MpiLaunchers.All;

    public static MatrixTheoryData<string, string> OnHosts { get; } = new(MpiLaunchers.All.Select(row => row.Data), ["all", "2 each"]);

    [Theory(Timeout = MpiLaunchers.Deadline)]
    [MemberData(nameof(OnHosts))]
    public async Task A_rank_that_throws_ends_the_job(string launcher, string hosts)
    {
        var output = await OutputOfFailure(launcher, 4, "throw", hosts);

        Assert.Contains("System.InvalidOperationException: out of cheese", output, StringComparison.Ordinal);
        Assert.Contains("Rank 1 failed: InvalidOperationException: out of cheese", output, StringComparison.Ordinal);
        Assert.Matches(@"Rank 3 is in #\d+ all_reduce \(sum\) of 100000 Float32 at MpiScenarios.cs:\d+ in group 'world' and waits for rank \d", output);
        Assert.DoesNotContain(Report, output, StringComparison.Ordinal);
    }

    [Theory(Timeout = MpiLaunchers.Deadline)]
    [MemberData(nameof(OnHosts))]
    public async Task A_rank_that_finishes_early_ends_the_job(string launcher, string hosts)
    {
        var output = await OutputOfFailure(launcher, 3, "finish-early", hosts);

        Assert.Contains("Rank 1 has finished its program, but other ranks still need it.", output, StringComparison.Ordinal);
        Assert.Matches(@"\| +rank 1 (on host-0 )?has finished its program", OnlyReport(output));
    }

    [Theory(Timeout = MpiLaunchers.Deadline)]
    [MemberData(nameof(OnHosts))]
    public async Task A_wait_past_the_deadline_ends_the_job(string launcher, string hosts)
    {
        var output = await OutputOfFailure(launcher, 4, "wait-for-ever", hosts, "--set", "collective_timeout_seconds=5");

        Assert.Contains("past the deadline (collective_timeout_seconds = 5)", output, StringComparison.Ordinal);
        var report = OnlyReport(output);
        Assert.Matches(@"\| +rank 1 (on host-0 )?is in no call for", report);
        Assert.Matches(@"\| +rank 3 (on host-1 )?is in #\d+ all_reduce \(sum\) of 100000 Float32 in 'world' at MpiScenarios.cs:\d+ for [\d.]+ s, waits for rank 1",
            report);
        Assert.Matches(@"\| +ranks 0, 2, 3: #\d+ all_reduce \(sum\) of 100000 Float32 at MpiScenarios.cs:\d+\s+\| +rank 1: nothing more", report);
    }

    [Theory(Timeout = MpiLaunchers.Deadline)]
    [MemberData(nameof(OnHosts))]
    public async Task Ranks_that_disagree_end_the_job(string launcher, string hosts)
    {
        var output = await OutputOfFailure(launcher, 4, "disagree", hosts);

        Assert.Matches(@"rank 0: #\d+ all_reduce \(sum\) of 3 Float32 at MpiScenarios.cs:\d+\s+rank 1: #\d+ all_reduce \(sum\) of 4 Float32", output);
        var report = OnlyReport(output);
        for (var rank = 0; rank < 4; rank++)
            Assert.Matches($@"\| +rank {rank} (on host-{rank / 2} )?is in #\d+ all_reduce \(sum\) of {rank + 3} Float32 in 'world' at MpiScenarios.cs:\d+", report);
    }

    [Theory(Timeout = MpiLaunchers.Deadline)]
    [MemberData(nameof(Launchers))]
    public async Task A_message_of_another_size_ends_the_job(string launcher)
    {
        var output = await OutputOfFailure(launcher, 2, "disagree-on-message", "all");

        Assert.Matches(@"#1 send to 1 of 4 Float32 at MpiScenarios.cs:\d+\s+#1 receive from 0 of 5 Float32", output);
    }

    [Theory(Timeout = MpiLaunchers.Deadline)]
    [MemberData(nameof(Launchers))]
    public async Task A_call_that_is_none_ends_the_job(string launcher)
    {
        var output = await OutputOfFailure(launcher, 2, "malformed-call", "all");

        Assert.Contains("What rank 1 sent in group 'world' is no call.", output, StringComparison.Ordinal);
    }

    [Theory(Timeout = MpiLaunchers.Deadline)]
    [MemberData(nameof(Launchers))]
    public async Task Notices_that_are_none_change_nothing(string launcher)
    {
        var job = await MpiJob.RunAsync(launcher, 2, "malformed-notice", "all");

        Assert.True(job.ExitCode == 0, job.Output);
    }

    /// <summary>Neighbours see how the process ended; where it was alone on its host, it does not answer when the launcher ends the job.</summary>
    [Theory(Timeout = MpiLaunchers.Deadline)]
    [InlineData("all", @"rank 1 \(process \d+\) has died")]
    [InlineData("2 each", @"rank 1 on host-0 \(process \d+\) has died")]
    [InlineData("1 each", "rank 1 on host-1 does not answer")]
    public async Task A_rank_that_dies_is_reported_under_Open_MPI(string hosts, string found)
    {
        var job = await MpiJob.RunAsync(MpiLaunchers.OpenMpi, 4, "die", hosts);

        Assert.NotEqual(0, job.ExitCode);
        RequireSoonOver(job);
        Assert.Matches(found, OnlyReport(job.Output));
        Assert.Matches(@"\| +rank 3 (on host-\d )?is in #\d+ all_reduce \(sum\) of 100000 Float32", OnlyReport(job.Output));
    }

    /// <summary>MPICH's launcher kills all ranks within milliseconds, so that none of them can report.</summary>
    [Theory(Timeout = MpiLaunchers.Deadline)]
    [InlineData("all")]
    [InlineData("2 each")]
    public async Task A_rank_that_dies_ends_the_job_under_MPICH(string hosts)
    {
        var job = await MpiJob.RunAsync(MpiLaunchers.Mpich, 4, "die", hosts);

        Assert.NotEqual(0, job.ExitCode);
        RequireSoonOver(job);
        Assert.Contains("signal 9", job.Output, StringComparison.Ordinal);
    }

    private static async Task<string> OutputOfFailure(string launcher, int ranks, string scenario, string hosts, params string[] options)
    {
        var job = await MpiJob.RunAsync(launcher, ranks, scenario, hosts, options);
        Assert.Equal(1, job.ExitCode);
        return job.Output;
    }

    /// <summary>The report, of which there is one.</summary>
    private static string OnlyReport(string output)
    {
        Assert.Single(Regex.Matches(output, Report));
        return output[output.IndexOf(Report, StringComparison.Ordinal)..];
    }

    private static void RequireSoonOver(MpiJob job)
    {
        var death = DateTimeOffset.FromUnixTimeMilliseconds(long.Parse(Death.Match(job.Output).Groups[1].Value, CultureInfo.InvariantCulture));
        Assert.InRange(job.Ended - death, TimeSpan.Zero, TimeSpan.FromSeconds(15));
    }

    [GeneratedRegex(@"dying at (\d+)")]
    private static partial Regex Death { get; }
}
