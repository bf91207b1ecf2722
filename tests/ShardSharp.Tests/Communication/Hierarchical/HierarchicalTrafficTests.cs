using ShardSharp.Tests.Communication.Mpi;

namespace ShardSharp.Tests.Communication.Hierarchical;

/// <summary>What crosses between hosts, counted: as little as the operation allows, and nothing but agreement goes through MPI within a host.</summary>
public sealed class HierarchicalTrafficTests
{
    private const long Mebibyte = 1 << 20;

    /// <summary>The message that says what a rank calls.</summary>
    private const long Agreement = 320;

    /// <summary>
    /// Two hosts of two ranks each, 1 MiB a share, two steps a share. Agreement takes two messages of each rank: one with its own word, one
    /// with two ranks', and of these eight two stay within a host.
    /// </summary>
    [Fact(Timeout = MpiLaunchers.Deadline)]
    public async Task Data_crosses_between_hosts_once()
    {
        var job = await MpiJob.RunAsync(MpiLaunchers.Mpich, 4, "traffic", "2 each");

        Assert.True(job.ExitCode == 0, job.Output);

        // Four ranks get 2 MiB from the other host, in one message a step for both ranks there.
        Require("reduce_scatter", messages: 8, mebibytes: 8);
        Require("all_to_all", messages: 8, mebibytes: 8);

        // Four shares go to one rank of the other host.
        Require("all_gather", messages: 8, mebibytes: 4);
        Require("all_reduce", messages: 16, mebibytes: 12);

        // Two shares go from one host to one rank of the other, or back, in one message a step for both.
        Require("gather", messages: 2, mebibytes: 2);
        Require("scatter", messages: 2, mebibytes: 2);
        Require("reduce", messages: 10, mebibytes: 10);
        Require("broadcast", messages: 8, mebibytes: 4);

        void Require(string operation, int messages, int mebibytes) => Assert.Contains(
            $"{operation}: 2 messages and {2 * Agreement} bytes within hosts, {messages + 6} and {(mebibytes * Mebibyte) + (10 * Agreement)} between them\n",
            job.Output, StringComparison.Ordinal);
    }

    [Theory(Timeout = MpiLaunchers.Deadline)]
    [InlineData(MpiLaunchers.OpenMpi)]
    [InlineData(MpiLaunchers.Mpich)]
    public async Task A_slow_rank_is_found_from_another_host(string launcher)
    {
        var job = await MpiJob.RunAsync(launcher, 4, "straggle", "2 each");

        Assert.True(job.ExitCode == 0, job.Output);
        Assert.Contains("stragglers: 2\n", job.Output, StringComparison.Ordinal);
    }
}
