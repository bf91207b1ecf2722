using ShardSharp.Launching;
using ShardSharp.Topology;

namespace ShardSharp.Tests.Launching;

public sealed class RestartingLauncherTests
{
    private readonly RecordingConsole _console = new();

    [Fact]
    public void Starts_all_ranks_again_until_they_succeed()
    {
        Assert.Equal(0, Run(5, "echo try ${SHARDSHARP_RESTART:-first}; if [ \"$SHARDSHARP_RESTART$SHARDSHARP_RANK\" != 21 ]; then test \"$SHARDSHARP_RESTART\" = 2; fi"));
        Assert.Equal(
            ["[rank 0] try 1", "[rank 0] try 2", "[rank 0] try first", "[rank 1] try 1", "[rank 1] try 2", "[rank 1] try first"],
            RecordingConsole.Sorted(_console.Output));
        Assert.Contains("shardsharp: attempt 1 of 6 failed; starting all ranks again.\n", _console.Error, StringComparison.Ordinal);
        Assert.Contains("shardsharp: attempt 2 of 6 failed; starting all ranks again.\n", _console.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("attempt 3", _console.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Gives_up_after_the_last_attempt_and_says_why_each_failed()
    {
        Assert.Equal(4, Run(1, "exit $((3 + ${SHARDSHARP_RESTART:-0}))"));
        Assert.Equal(1, Count("exited with code 3."));
        Assert.Equal(1, Count("exited with code 4."));
        Assert.EndsWith("shardsharp: attempt 2 of 2 failed; no restarts are left.\n", _console.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_wrong_configuration_is_not_tried_again()
    {
        Assert.Equal(ExitCodes.BadConfiguration, Run(3, "exit 2"));
        Assert.Equal(0, Count("attempt"));
    }

    [Fact]
    public void Nothing_is_said_of_attempts_where_there_is_only_one()
    {
        Assert.Equal(3, Run(0, "exit 3"));
        Assert.Equal(0, Count("attempt"));
    }

    [Fact]
    public void Every_attempt_has_a_job_name_of_its_own()
    {
        Run(1, "echo $SHARDSHARP_JOB; exit 3");
        Assert.Equal(2, _console.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' ')[^1]).Distinct().Count());
    }

    [Fact]
    public void Ranks_read_the_count()
    {
        Assert.Equal(0, RestartingLauncher.CountOf(new Dictionary<string, string>()));
        Assert.Equal(3, RestartingLauncher.CountOf(new Dictionary<string, string> { [RankVariables.Restart] = "3" }));
        Assert.Throws<ClusterEnvironmentException>(
            () => RestartingLauncher.CountOf(new Dictionary<string, string> { [RankVariables.Restart] = "often" }));
    }

    private int Count(string text) => _console.Error.Split(text).Length - 1;

    private int Run(int restarts, string script)
    {
        var launch = new LocalLaunch
        {
            Command = new ProgramCommand("/bin/sh", ["-c", script]),
            Ranks = 2,
            ThreadsPerRank = 1,
            Grace = RankScript.Unhurried,
        };
        return new RestartingLauncher(launch, restarts, _console.Console).Run();
    }
}
