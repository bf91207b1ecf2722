using System.Globalization;
using ShardSharp.Communication.Local;
using ShardSharp.Topology;

namespace ShardSharp.Tests.Launching;

/// <summary>Ranks that something else has started, with the environment that it gives them, find each other without a launcher of ours.</summary>
public sealed class JoiningRanksTests
{
    private const int Deadline = 120_000;

    private static readonly string Job = Guid.NewGuid().ToString("N");

    /// <summary>What each launcher tells rank R of N on one host.</summary>
    private static readonly Dictionary<string, string> Environments = new()
    {
        ["Open MPI"] = "OMPI_COMM_WORLD_RANK=R OMPI_COMM_WORLD_SIZE=N OMPI_COMM_WORLD_LOCAL_RANK=R OMPI_COMM_WORLD_LOCAL_SIZE=N PMIX_NAMESPACE=J",
        ["MPICH"] = "PMI_RANK=R PMI_SIZE=N MPI_LOCALRANKID=R MPI_LOCALNRANKS=N",
        ["srun"] = "SLURM_PROCID=R SLURM_LOCALID=R SLURM_NODEID=0 SLURM_JOB_ID=J SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=N SLURM_STEP_TASKS_PER_NODE=N",
        ["torchrun"] = "RANK=R WORLD_SIZE=N LOCAL_RANK=R LOCAL_WORLD_SIZE=N MASTER_ADDR=localhost MASTER_PORT=29500 TORCHELASTIC_RUN_ID=J",
    };

    public static TheoryData<string> Launchers => [.. Environments.Keys];

    [Theory(Timeout = Deadline)]
    [MemberData(nameof(Launchers))]
    public async Task Ranks_of_a_launcher_find_each_other(string launcher)
    {
        var results = await Task.WhenAll(Enumerable.Range(0, 2).Select(rank => SessionProcess.RunAsync("sum", Environment(launcher, rank, 2))));

        Assert.Equal([0, 0], results.Select(result => result.ExitCode));
        Assert.Equal(["[rank 0] 0 of 2 sums up to 3\n", "[rank 1] 1 of 2 sums up to 3\n"], results.Select(result => result.Output));
        Assert.Equal(["[rank 0] done\n", "[rank 1] done\n"], results.Select(result => result.Error));
        var job = ClusterEnvironment.Detect(Environment(launcher, 0, 2), System.Environment.ProcessId)!.Job;
        var sockets = await File.ReadAllTextAsync("/proc/net/unix", TestContext.Current.CancellationToken);
        Assert.DoesNotContain(SharedMemoryRendezvous.MeetingPoint(job), sockets, StringComparison.Ordinal);
    }

    [Fact(Timeout = Deadline)]
    public async Task A_rank_that_is_killed_ends_the_others()
    {
        using var victim = new SessionProcess("die", Environment("torchrun", 1, 3));
        var others = await Task.WhenAll(
            SessionProcess.RunAsync("die", Environment("torchrun", 0, 3)), SessionProcess.RunAsync("die", Environment("torchrun", 2, 3)));

        Assert.Equal(137, (await victim.Result).ExitCode);
        Assert.All(others, other =>
        {
            Assert.Equal((1, 2), (other.ExitCode, other.ErrorLines.Length));
            Assert.Contains($"Rank 1 (process {victim.Id}) has died", other.ErrorLines[0], StringComparison.Ordinal);
            Assert.Contains("all_reduce (sum) of 4 Float32 at SessionScenarios.cs:", other.ErrorLines[1], StringComparison.Ordinal);
        });
    }

    [Fact(Timeout = Deadline)]
    public async Task Ranks_that_cannot_meet_say_why()
    {
        var impatient = "sum --set rendezvous_timeout_seconds=1";
        var missing = SessionProcess.RunAsync(impatient, Environment("Open MPI", 0, 2));
        var elsewhere = SessionProcess.RunAsync("sum", Environment("srun", 0, 4, perHost: 2));

        // Rank 1 comes twice, so rank 2 never will; long before the time is up all are told.
        var doubled = await Task.WhenAll(
            ((int[])[0, 1, 1]).Select(rank => SessionProcess.RunAsync("sum", Environment("torchrun", rank, 3))));

        Assert.All(doubled, rank =>
        {
            Assert.Equal(1, rank.ExitCode);
            Assert.Contains("has ranks 0 to 2, each of them once, but a process came as rank 1 of 3", rank.Error, StringComparison.Ordinal);
        });
        Assert.Equal(1, (await missing).ExitCode);
        Assert.Contains("these of 2 ranks have not started or have not reached ModelParallel.Launch: 1.", (await missing).Error, StringComparison.Ordinal);

        // Ranks on several hosts need MPI, and the one of this machine did not start them.
        Assert.Equal(1, (await elsewhere).ExitCode);
        Assert.Matches("they belong to different MPI installations|No MPI library was found", (await elsewhere).Error);
    }

    private static Dictionary<string, string> Environment(string launcher, int rank, int ranks, int? perHost = null) =>
        Environments[launcher].Split(' ').Select(entry => entry.Split('=')).ToDictionary(entry => entry[0], entry => (entry[0], entry[1]) switch
        {
            (_, "R") => rank.ToString(CultureInfo.InvariantCulture),
            ("SLURM_STEP_TASKS_PER_NODE", _) when perHost is not null => $"{perHost}(x{ranks / perHost})",
            (_, "N") => ranks.ToString(CultureInfo.InvariantCulture),
            (_, "J") => Job,
            var (_, value) => value,
        });
}
