using System.Text.RegularExpressions;

namespace ShardSharp.Tests.Communication.Mpi;

/// <summary>MPI jobs over two hosts that share neither network nor name, joined by a cable.</summary>
public sealed class NetworkedHostsTests
{
    public static TheoryData<string> Launchers => MpiLaunchers.All;

    [Theory(Timeout = MpiLaunchers.Deadline)]
    [MemberData(nameof(Launchers))]
    public async Task Hosts_find_each_other_and_conform(string launcher)
    {
        using var hosts = new NetworkedHosts();
        var job = await MpiJob.RunAsync(hosts, launcher, "conformance");

        Assert.True(job.ExitCode == 0, job.Output);
        Assert.Contains("group: HierarchicalProcessGroup\n", job.Output, StringComparison.Ordinal);
        Assert.All(Conformance.Programs.Keys, name => Assert.Contains($"conforms: {name}\n", job.Output, StringComparison.Ordinal));

        // Open MPI is told to use TCP. UCX, below MPICH, finds that both hosts are one machine and moves data through its memory; told to use
        // TCP, MPICH 4.0 does not always find the end of MPI_Finalize, so there only its launcher uses the network.
        if (launcher == MpiLaunchers.OpenMpi)
            Assert.InRange(hosts.BytesSent(), 10_000_000, long.MaxValue);
    }

    [Theory(Timeout = MpiLaunchers.Deadline)]
    [MemberData(nameof(Launchers))]
    public async Task A_report_tells_of_both_hosts(string launcher)
    {
        using var hosts = new NetworkedHosts();
        var job = await MpiJob.RunAsync(hosts, launcher, "disagree");

        Assert.NotEqual(0, job.ExitCode);
        for (var rank = 0; rank < 4; rank++)
        {
            // By the time it is asked, a rank may have thrown the error that all of them get.
            var line = $@"\| +rank {rank} on {NetworkedHosts.HostNames[rank / 2]} (is|has failed) in #\d+ all_reduce \(sum\) of {rank + 3} Float32 in 'world'";
            Assert.True(Regex.IsMatch(job.Output, line), job.Output);
        }
    }
}
