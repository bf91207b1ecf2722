using ShardSharp.Launching;
using ShardSharp.Topology;

namespace ShardSharp.Tests.Launching;

public sealed class LocalLaunchTests
{
    [Fact]
    public void Tells_a_rank_what_it_then_finds_out()
    {
        var launch = new LocalLaunch { Command = new ProgramCommand("program", []), Ranks = 3, ThreadsPerRank = 1 };
        var found = ClusterEnvironment.Detect(launch.EnvironmentOf(2))!;

        Assert.Equal(RankLauncher.ShardSharp, found.Launcher);
        Assert.EndsWith(launch.Job, found.Job, StringComparison.Ordinal);
        Assert.Equal((2, 3, 2, 3), (found.Rank, found.WorldSize, found.LocalRank, found.LocalSize));
    }

    [Fact]
    public void Gives_each_launch_a_name_of_its_own()
    {
        var launch = new LocalLaunch { Command = new ProgramCommand("program", []), Ranks = 1, ThreadsPerRank = 1 };

        Assert.NotEqual(launch.Job, new LocalLaunch { Command = launch.Command, Ranks = 1, ThreadsPerRank = 1 }.Job);
    }
}
