namespace ShardSharp.Tests.Communication.Mpi;

/// <summary>The MPI backend under the MPI implementations that are installed: it conforms, and every failure ends the job with a report.</summary>
public sealed class MpiJobTests
{
    // Far more than any of them takes: a job that hangs should fail its test and not stop the run.
    private const int Deadline = 300_000;

    public static TheoryData<string> Launchers => ["mpirun.openmpi", "mpirun.mpich"];

    public static MatrixTheoryData<string, int> Jobs { get; } = new(Launchers.Select(row => row.Data), [2, 3, 4]);

    [Theory(Timeout = Deadline)]
    [MemberData(nameof(Jobs))]
    public async Task Conforms(string launcher, int ranks)
    {
        var job = await MpiJob.RunAsync(launcher, ranks, "conformance");

        Assert.True(job.ExitCode == 0, job.Output);
        Assert.Contains("group: MpiProcessGroup\n", job.Output, StringComparison.Ordinal);
        Assert.All(Conformance.Programs.Keys, name => Assert.Contains($"conforms: {name}\n", job.Output, StringComparison.Ordinal));
    }

    /// <summary>Two ranks on each of two hosts; three and two; one and one and one.</summary>
    [Theory(Timeout = Deadline)]
    [InlineData("mpirun.openmpi", 4, 2)]
    [InlineData("mpirun.mpich", 4, 2)]
    [InlineData("mpirun.openmpi", 5, 3)]
    [InlineData("mpirun.mpich", 5, 3)]
    [InlineData("mpirun.mpich", 3, 1)]
    public async Task Conforms_on_several_hosts(string launcher, int ranks, int ranksPerHost)
    {
        var job = await MpiJob.RunAsync(launcher, ranks, "conformance", ranksPerHost);

        Assert.True(job.ExitCode == 0, job.Output);
        Assert.Contains($"group: {(ranksPerHost > 1 ? "HierarchicalProcessGroup" : "MpiProcessGroup")}\n", job.Output, StringComparison.Ordinal);
        Assert.All(Conformance.Programs.Keys, name => Assert.Contains($"conforms: {name}\n", job.Output, StringComparison.Ordinal));
    }

    [Theory(Timeout = Deadline)]
    [MemberData(nameof(Launchers))]
    public async Task A_failure_on_one_host_reaches_ranks_that_wait_on_another(string launcher)
    {
        var job = await MpiJob.RunAsync(launcher, 4, "throw", ranksPerHost: 2);

        Assert.Equal(1, job.ExitCode);
        Assert.Contains("System.InvalidOperationException: out of cheese", job.Output, StringComparison.Ordinal);
        Assert.Matches(@"Rank 3 is in #\d+ all_reduce \(sum\) of 100000 Float32 at MpiScenarios.cs:\d+ in group 'world' and waits for rank \d", job.Output);
    }

    [Theory(Timeout = Deadline)]
    [MemberData(nameof(Launchers))]
    public async Task A_rank_that_throws_ends_the_job(string launcher)
    {
        var job = await MpiJob.RunAsync(launcher, 3, "throw");

        Assert.Equal(1, job.ExitCode);
        Assert.Contains("System.InvalidOperationException: out of cheese", job.Output, StringComparison.Ordinal);
        Assert.Contains("Rank 1 failed: InvalidOperationException: out of cheese", job.Output, StringComparison.Ordinal);
        Assert.Matches(@"Rank 2 is in #\d+ all_reduce \(sum\) of 100000 Float32 at MpiScenarios.cs:\d+ in group 'world' and waits for rank \d", job.Output);
    }

    [Theory(Timeout = Deadline)]
    [MemberData(nameof(Launchers))]
    public async Task A_rank_that_dies_ends_the_job(string launcher)
    {
        var job = await MpiJob.RunAsync(launcher, 3, "die");

        Assert.NotEqual(0, job.ExitCode);
        Assert.Matches("signal 9", job.Output);
    }

    [Theory(Timeout = Deadline)]
    [MemberData(nameof(Launchers))]
    public async Task A_rank_that_finishes_early_ends_the_job(string launcher)
    {
        var job = await MpiJob.RunAsync(launcher, 3, "finish-early");

        Assert.Equal(1, job.ExitCode);
        Assert.Contains("Rank 1 has finished its program, but other ranks still need it.", job.Output, StringComparison.Ordinal);
    }

    [Theory(Timeout = Deadline)]
    [MemberData(nameof(Launchers))]
    public async Task A_wait_past_the_deadline_ends_the_job(string launcher)
    {
        var job = await MpiJob.RunAsync(launcher, 2, "wait-for-ever", 0, "--set", "collective_timeout_seconds=5");

        Assert.Equal(1, job.ExitCode);
        Assert.Contains("past the deadline (collective_timeout_seconds = 5)", job.Output, StringComparison.Ordinal);
        Assert.Contains("in group 'world' and waits for rank 1", job.Output, StringComparison.Ordinal);
    }

    [Theory(Timeout = Deadline)]
    [MemberData(nameof(Launchers))]
    public async Task Ranks_that_disagree_end_the_job(string launcher)
    {
        var job = await MpiJob.RunAsync(launcher, 3, "disagree");

        Assert.Equal(1, job.ExitCode);
        Assert.Matches(@"rank 0: #\d+ all_reduce \(sum\) of 3 Float32 at MpiScenarios.cs:\d+\s+rank 1: #\d+ all_reduce \(sum\) of 4 Float32", job.Output);
    }

    [Theory(Timeout = Deadline)]
    [MemberData(nameof(Launchers))]
    public async Task A_message_of_another_size_ends_the_job(string launcher)
    {
        var job = await MpiJob.RunAsync(launcher, 2, "disagree-on-message");

        Assert.Equal(1, job.ExitCode);
        Assert.Matches(@"#1 send to 1 of 4 Float32 at MpiScenarios.cs:\d+\s+#1 receive from 0 of 5 Float32", job.Output);
    }

    [Theory(Timeout = Deadline)]
    [MemberData(nameof(Launchers))]
    public async Task Notices_that_are_none_change_nothing(string launcher)
    {
        var job = await MpiJob.RunAsync(launcher, 2, "malformed-notice");

        Assert.True(job.ExitCode == 0, job.Output);
    }

    [Theory(Timeout = Deadline)]
    [MemberData(nameof(Launchers))]
    public async Task A_call_that_is_none_ends_the_job(string launcher)
    {
        var job = await MpiJob.RunAsync(launcher, 2, "malformed-call");

        Assert.Equal(1, job.ExitCode);
        Assert.Contains("What rank 1 sent in group 'world' is no call.", job.Output, StringComparison.Ordinal);
    }
}
