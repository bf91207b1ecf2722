namespace ShardSharp.Tests.Communication.Mpi;

/// <summary>The MPI backend conforms under the MPI implementations that are installed, on one host and on several.</summary>
public sealed class MpiJobTests
{
    public static MatrixTheoryData<string, int> Jobs { get; } = new(MpiLaunchers.All.Select(row => row.Data), [2, 3, 4]);

    [Theory(Timeout = MpiLaunchers.Deadline)]
    [MemberData(nameof(Jobs))]
    public Task Conforms(string launcher, int ranks) => RequireConformance(launcher, ranks, "all", "MpiProcessGroup");

    [Theory(Timeout = MpiLaunchers.Deadline)]
    [InlineData(MpiLaunchers.OpenMpi, 4, "2 each")]
    [InlineData(MpiLaunchers.Mpich, 4, "2 each")]
    [InlineData(MpiLaunchers.OpenMpi, 5, "2 hosts")]
    [InlineData(MpiLaunchers.Mpich, 5, "3 each")]
    [InlineData(MpiLaunchers.Mpich, 5, "4 each")]
    public Task Conforms_where_hosts_have_several_ranks(string launcher, int ranks, string hosts) =>
        RequireConformance(launcher, ranks, hosts, "HierarchicalProcessGroup");

    [Fact(Timeout = MpiLaunchers.Deadline)]
    public Task Conforms_where_each_rank_has_a_host() => RequireConformance(MpiLaunchers.Mpich, 3, "1 each", "MpiProcessGroup");

    private static async Task RequireConformance(string launcher, int ranks, string hosts, string group)
    {
        var job = await MpiJob.RunAsync(launcher, ranks, "conformance", hosts);

        Assert.True(job.ExitCode == 0, job.Output);
        Assert.Contains($"group: {group}\n", job.Output, StringComparison.Ordinal);
        Assert.All(Conformance.Programs.Keys, name => Assert.Contains($"conforms: {name}\n", job.Output, StringComparison.Ordinal));
    }
}
