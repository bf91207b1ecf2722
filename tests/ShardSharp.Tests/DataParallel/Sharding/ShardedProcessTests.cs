using System.Text.RegularExpressions;
using ShardSharp.Tests.Communication.Mpi;
using ShardSharp.Tests.HuggingFace;
using ShardSharp.Tests.Launching;

namespace ShardSharp.Tests.DataParallel.Sharding;

/// <summary>Ranks that are processes train as one does, and as transformers did, whatever they communicate through, and to the same bits.</summary>
public sealed partial class ShardedProcessTests
{
    private const int Deadline = 300_000;
    private const int Ranks = 4;

    public static TheoryData<string> Shardings =>
    [
        "--set shard_optimizer_state=true",
        "--set sharded_data_parallel_degree=4 --set sdp_sharding_level=gradients",
        "--set sharded_data_parallel_degree=4 --set sdp_param_persistence_threshold=32",
        "--set sharded_data_parallel_degree=2 --set sdp_param_persistence_threshold=32",
    ];

    [Theory(Timeout = Deadline)]
    [MemberData(nameof(Shardings))]
    public async Task Processes_of_a_host_and_of_an_mpi_job_end_with_the_same_bits(string sharding)
    {
        var (gpt2, llama) = (ReferenceModels.PathOf("gpt2"), ReferenceModels.PathOf("llama"));
        var threads = await SessionProcess.RunAsync($"shard {gpt2} {llama} --ranks {Ranks} --backend threads {sharding}");
        var processes = await SessionProcess.RunAsync($"shard {gpt2} {llama} --ranks {Ranks} {sharding}");
        var job = await MpiJob.RunAsync("mpirun.openmpi", Ranks, "shard", "all", [gpt2, llama, .. sharding.Split(' ')]);

        RequireAgreement(threads.Output + threads.Error);
        RequireAgreement(processes.Output + processes.Error);
        RequireAgreement(job.Output);
        var bits = BitsOf(threads.Output);
        Assert.Equal(3, bits.Length);
        Assert.Equal(bits, BitsOf(processes.Output));
        Assert.Equal(bits, BitsOf(job.Output));

        static string[] BitsOf(string output) => [.. Bits.Matches(output).Select(match => match.Value)];
    }

    /// <summary>Shards over two hosts, gathered once to each or by every rank for itself; and within hosts, with copies between them.</summary>
    [Theory(Timeout = Deadline)]
    [InlineData("mpirun.mpich", "sharded_data_parallel_degree=4", "sdp_hierarchical_allgather=true")]
    [InlineData("mpirun.mpich", "sharded_data_parallel_degree=4", "sdp_hierarchical_allgather=false")]
    [InlineData("mpirun.openmpi", "sharded_data_parallel_degree=2", "sdp_hierarchical_allgather=true")]
    public async Task Two_hosts_train_as_one_rank_does(string launcher, string degree, string hierarchy)
    {
        var job = await MpiJob.RunAsync(
            launcher, Ranks, "shard", "2 each", "--set", degree, "--set", hierarchy, "--set", "sdp_param_persistence_threshold=32");

        RequireAgreement(job.Output);
    }

    [GeneratedRegex("bits: .*")]
    private static partial Regex Bits { get; }

    private static void RequireAgreement(string output) =>
        Assert.All(Enumerable.Range(0, Ranks), rank => Assert.Contains($"rank {rank} agrees", output, StringComparison.Ordinal));
}
