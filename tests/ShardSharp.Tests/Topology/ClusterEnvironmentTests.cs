using ShardSharp.Topology;
using static ShardSharp.Tests.Topology.RecordedEnvironments;

namespace ShardSharp.Tests.Topology;

public sealed class ClusterEnvironmentTests
{
    [Theory]
    [InlineData(Own, RankLauncher.ShardSharp, 3, 4, 3, 4, 0, 1, "shardsharp-20250101-4711")]
    [InlineData(OpenMpi4, RankLauncher.OpenMpi, 2, 4, 0, 2, null, null, "openmpi-3298623489")]
    [InlineData(OpenMpi5, RankLauncher.OpenMpi, 1, 2, 1, 2, 0, 1, "openmpi-prterun-node01-28145-1")]
    [InlineData(Mpich, RankLauncher.Hydra, 1, 2, 1, 2, 0, 1, "hydra-4242")]
    [InlineData(IntelMpi, RankLauncher.Hydra, 5, 8, 1, 4, null, null, "hydra-9d260000-7c26-e807-8fb4-050000430af0")]
    [InlineData(Mvapich, RankLauncher.Mvapich, 7, 8, 3, 4, null, null, "mvapich-28777")]
    [InlineData(Torchrun, RankLauncher.Torchrun, 6, 8, 2, 4, 1, 2, "torchrun-none-node01.cluster-29500-1")]
    [InlineData(Slurm, RankLauncher.Slurm, 6, 7, 0, 1, 3, 4, "slurm-184467.2")]
    [InlineData(SageMaker, RankLauncher.SageMaker, 1, 2, 0, 1, 1, 2, "sagemaker-gpt-2025-01-01-12-00-00-000")]
    public void Reads_what_each_launcher_sets(
        string recording, RankLauncher launcher, int rank, int size, int localRank, int localSize, int? host, int? hosts, string job)
    {
        var expected = new ClusterEnvironment
        {
            Launcher = launcher,
            Rank = rank,
            WorldSize = size,
            LocalRank = localRank,
            LocalSize = localSize,
            HostIndex = host,
            HostCount = hosts,
            Job = job,
        };

        Assert.Equal(expected, ClusterEnvironment.Detect(Variables(recording), parentProcessId: 4242));
    }

    [Theory]
    [InlineData("")]
    [InlineData("RANK=3")]
    [InlineData("WORLD_SIZE=4\nRANK=")]
    [InlineData(SlurmBatch)]
    [InlineData(SlurmInteractive)]
    [InlineData(SlurmInteractive + "\nSLURM_STEP_ID=0")]
    [InlineData(SlurmInteractive + "\nSLURM_PTY_PORT")]
    [InlineData(Slurm + "\nSLURM_STEP_ID=4294967291")]
    [InlineData("SM_HOSTS=[\"algo-1\"]\nSM_CURRENT_HOST=algo-1\nSM_NUM_GPUS=8")]
    public void Sees_no_rank_where_no_launcher_started_one(string recording) =>
        Assert.Null(ClusterEnvironment.Detect(Variables(recording)));

    [Theory]
    [InlineData(RankLauncher.ShardSharp, Own, Torchrun, OpenMpi4, Slurm, SageMaker)]
    [InlineData(RankLauncher.Torchrun, Torchrun, OpenMpi4, Slurm, SageMaker)]
    [InlineData(RankLauncher.OpenMpi, OpenMpi4, "RANK=0\nWORLD_SIZE=2", Slurm, SageMaker)]
    [InlineData(RankLauncher.Hydra, IntelMpi, Slurm)]
    [InlineData(RankLauncher.Torchrun, Torchrun, "TORCHELASTIC_RUN_ID", Slurm, SageMaker)]
    [InlineData(RankLauncher.Slurm, Slurm, "PMI_RANK=6\nPMI_SIZE=7\nPMI_JOBID=184467.2", SageMaker)]
    public void Asks_the_innermost_launcher_first(RankLauncher launcher, params string[] recordings)
    {
        Assert.Equal(launcher, ClusterEnvironment.Detect(Variables(recordings), 1)?.Launcher);
        Assert.Equal(launcher, ClusterEnvironment.Detect(Variables(recordings.Reverse()), 1)?.Launcher);
    }

    [Theory]
    [InlineData(Own + "\nSHARDSHARP_JOB", "SHARDSHARP_JOB is not set")]
    [InlineData("OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE, OMPI_COMM_WORLD_LOCAL_RANK, OMPI_COMM_WORLD_LOCAL_SIZE are not set")]
    [InlineData("PMI_RANK=0\nPMI_SIZE=2", "(PMI_RANK=0, PMI_SIZE=2), but MPI_LOCALRANKID, MPI_LOCALNRANKS are not set")]
    [InlineData("RANK=0\nWORLD_SIZE=2\nMASTER_ADDR=a\nMASTER_PORT=1", "LOCAL_RANK, LOCAL_WORLD_SIZE are not set")]
    [InlineData(Torchrun + "\nRANK", "RANK is not set. Start it with torchrun")]
    [InlineData(Slurm + "\nSLURM_NTASKS\nSLURM_STEP_NUM_TASKS", "SLURM_STEP_NUM_TASKS or SLURM_NTASKS is not set")]
    [InlineData(SageMaker + "\nSM_CURRENT_HOST=", "SM_CURRENT_HOST is not set")]
    public void Names_the_variables_that_are_missing(string recording, string part) => AssertFails(part, recording);

    [Theory]
    [InlineData(Own + "\nSHARDSHARP_RANK=4", "rank 4 is not below the world size 4 (SHARDSHARP_RANK=4, SHARDSHARP_WORLD_SIZE=4")]
    [InlineData(Own + "\nSHARDSHARP_RANK=-1", "SHARDSHARP_RANK is '-1'; it should be a whole number, 0 or more")]
    [InlineData(Own + "\nSHARDSHARP_WORLD_SIZE=0", "at least one rank")]
    [InlineData(OpenMpi4 + "\nOMPI_COMM_WORLD_LOCAL_RANK=2", "local rank 2 is not below the local size 2")]
    [InlineData(OpenMpi4 + "\nOMPI_COMM_WORLD_LOCAL_SIZE=5", "a host has 5 ranks of 4")]
    [InlineData(Torchrun + "\nGROUP_RANK=2", "host 2 is not below the number of hosts 2")]
    [InlineData(Torchrun + "\nGROUP_RANK=0\nGROUP_WORLD_SIZE=1", "the only host has 4 ranks of 8")]
    [InlineData(Torchrun + "\nWORLD_SIZE=eight", "WORLD_SIZE is 'eight'")]
    [InlineData(Slurm + "\nSLURM_STEP_TASKS_PER_NODE=2(x3)", "SLURM_NODEID is '3'; it should be below 3")]
    [InlineData(Slurm + "\nSLURM_STEP_TASKS_PER_NODE=2(x4)", "SLURM_STEP_TASKS_PER_NODE is '2(x4)'; it should be a list of 7 tasks")]
    [InlineData(Slurm + "\nSLURM_STEP_TASKS_PER_NODE=2x3,1", "SLURM_STEP_TASKS_PER_NODE is '2x3,1'; it should be a list such as")]
    [InlineData(SageMaker + "\nSM_CURRENT_HOST=algo-3", "SM_CURRENT_HOST is 'algo-3'; it should be one of SM_HOSTS: algo-1, algo-2")]
    [InlineData(SageMaker + "\nSM_HOSTS=algo-1,algo-2", "SM_HOSTS is 'algo-1,algo-2'; it should be a JSON list")]
    [InlineData(OpenMpi4 + "\n" + Mpich, "Open MPI says rank 2 of 4")]
    [InlineData(OpenMpi4 + "\n" + Mpich, "MPICH or Intel MPI says rank 1 of 2 (PMI_RANK=1, PMI_SIZE=2")]
    public void Names_the_variables_that_contradict_each_other(string recording, string part) => AssertFails(part, recording);

    [Fact]
    public void Two_MPI_launchers_that_agree_are_accepted() =>
        Assert.Equal(RankLauncher.OpenMpi, ClusterEnvironment.Detect(Variables(OpenMpi5, Mpich), 1)?.Launcher);

    [Fact]
    public void Needs_the_parent_process_where_nothing_names_the_job() => Assert.Contains(
        "does not name its job",
        Assert.Throws<ClusterEnvironmentException>(() => ClusterEnvironment.Detect(Variables(Mpich))).Message,
        StringComparison.Ordinal);

    [Fact]
    public void Slurm_without_the_list_of_the_step_takes_the_tasks_per_node() => Assert.Equal(
        2,
        ClusterEnvironment.Detect(Variables(Slurm, "SLURM_STEP_TASKS_PER_NODE\nSLURM_NTASKS_PER_NODE=2"))?.LocalSize);

    [Theory]
    [InlineData("4", 4)]
    [InlineData("2(x3),1", 2, 2, 2, 1)]
    [InlineData("1,2(x2),1(x1)", 1, 2, 2, 1)]
    [InlineData("")]
    [InlineData("2(x3")]
    [InlineData("2,")]
    [InlineData("99999999999")]
    public void Expands_the_tasks_per_node_of_Slurm(string text, params int[] tasks) =>
        Assert.Equal(tasks.Length == 0 ? null : tasks, SlurmStep.TasksPerNode(text));

    [Fact]
    public void Long_job_names_are_shortened_and_stay_different()
    {
        var first = Job("a");

        Assert.NotEqual(first, Job("b"));
        Assert.Matches("^shardsharp-x+-[0-9a-f]{16}$", first);
        Assert.Equal(64, first.Length);

        static string Job(string end) =>
            ClusterEnvironment.Detect(Variables(Own, $"SHARDSHARP_JOB={new string('x', 200)}/{end}"))!.Job;
    }

    private static void AssertFails(string part, string recording) => Assert.Contains(
        part,
        Assert.Throws<ClusterEnvironmentException>(() => ClusterEnvironment.Detect(Variables(recording), 1)).Message,
        StringComparison.Ordinal);
}
