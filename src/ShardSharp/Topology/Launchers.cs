namespace ShardSharp.Topology;

/// <summary>The launchers whose ranks ShardSharp joins. Adding one is adding an entry here.</summary>
internal static class Launchers
{
    private static readonly LauncherDescriptor Own = new(RankLauncher.ShardSharp, "ShardSharp")
    {
        Started = v => v.Has(RankVariables.Rank) || v.Has(RankVariables.WorldSize),
        Needs =
        [
            [RankVariables.Rank], [RankVariables.WorldSize], [RankVariables.LocalRank], [RankVariables.LocalSize], [RankVariables.Job],
        ],
        Rank = v => v.Number(RankVariables.Rank),
        WorldSize = v => v.Number(RankVariables.WorldSize),
        LocalRank = v => v.Number(RankVariables.LocalRank),
        LocalSize = v => v.Number(RankVariables.LocalSize),
        Job = v => v.Text(RankVariables.Job),
    };

    // PMIX_NAMESPACE is set by version 5 and late version 4, the others by earlier ones: all are made anew by each mpirun.
    private static readonly LauncherDescriptor OpenMpi = new(RankLauncher.OpenMpi, "Open MPI")
    {
        IsMpi = true,
        Started = v => v.Has("OMPI_COMM_WORLD_RANK") || v.Has("OMPI_COMM_WORLD_SIZE"),
        Needs =
        [
            ["OMPI_COMM_WORLD_RANK"], ["OMPI_COMM_WORLD_SIZE"], ["OMPI_COMM_WORLD_LOCAL_RANK"], ["OMPI_COMM_WORLD_LOCAL_SIZE"],
        ],
        Rank = v => v.Number("OMPI_COMM_WORLD_RANK"),
        WorldSize = v => v.Number("OMPI_COMM_WORLD_SIZE"),
        LocalRank = v => v.Number("OMPI_COMM_WORLD_LOCAL_RANK"),
        LocalSize = v => v.Number("OMPI_COMM_WORLD_LOCAL_SIZE"),
        Job = v => v.Text("PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid", "OMPI_MCA_orte_ess_jobid"),
    };

    // srun with its PMI plug-ins sets PMI_RANK too, but not the local rank: such a process is Slurm's.
    private static readonly LauncherDescriptor Hydra = new(RankLauncher.Hydra, "MPICH or Intel MPI")
    {
        IsMpi = true,
        Started = v => v.Has("MPI_LOCALRANKID") || (v.Has("PMI_RANK") && !v.Has("SLURM_STEP_ID")),
        Needs = [["PMI_RANK"], ["PMI_SIZE"], ["MPI_LOCALRANKID"], ["MPI_LOCALNRANKS"]],
        Rank = v => v.Number("PMI_RANK"),
        WorldSize = v => v.Number("PMI_SIZE"),
        LocalRank = v => v.Number("MPI_LOCALRANKID"),
        LocalSize = v => v.Number("MPI_LOCALNRANKS"),
        Job = v => v.Text("I_MPI_HYDRA_UUID", "PMI_JOBID"),
    };

    private static readonly LauncherDescriptor Mvapich = new(RankLauncher.Mvapich, "MVAPICH2")
    {
        IsMpi = true,
        Started = v => v.Has("MV2_COMM_WORLD_RANK") || v.Has("MV2_COMM_WORLD_SIZE"),
        Needs =
        [
            ["MV2_COMM_WORLD_RANK"], ["MV2_COMM_WORLD_SIZE"], ["MV2_COMM_WORLD_LOCAL_RANK"], ["MV2_COMM_WORLD_LOCAL_SIZE"],
        ],
        Rank = v => v.Number("MV2_COMM_WORLD_RANK"),
        WorldSize = v => v.Number("MV2_COMM_WORLD_SIZE"),
        LocalRank = v => v.Number("MV2_COMM_WORLD_LOCAL_RANK"),
        LocalSize = v => v.Number("MV2_COMM_WORLD_LOCAL_SIZE"),
        Job = v => v.Text("MPIRUN_ID"),
    };

    // RANK or WORLD_SIZE alone may mean anything; two such names are no accident.
    // A run identifier is "none" unless the user gives one, so the rendezvous address and port tell jobs apart; after a restart the
    // ranks must not meet what the last attempt left behind.
    private static readonly LauncherDescriptor TorchVariables = new(RankLauncher.Torchrun, "torchrun")
    {
        Started = v => new[] { "RANK", "WORLD_SIZE", "LOCAL_RANK" }.Count(v.Has) >= 2,
        Needs = [["RANK"], ["WORLD_SIZE"], ["LOCAL_RANK"], ["LOCAL_WORLD_SIZE"], ["MASTER_ADDR"], ["MASTER_PORT"]],
        Rank = v => v.Number("RANK"),
        WorldSize = v => v.Number("WORLD_SIZE"),
        LocalRank = v => v.Number("LOCAL_RANK"),
        LocalSize = v => v.Number("LOCAL_WORLD_SIZE"),
        HostIndex = v => v.OptionalNumber("GROUP_RANK"),
        HostCount = v => v.OptionalNumber("GROUP_WORLD_SIZE"),
        Job = v => string.Join('-', new[]
        {
            v.Text("TORCHELASTIC_RUN_ID"), v.Text("MASTER_ADDR"), v.Text("MASTER_PORT"), v.Text("TORCHELASTIC_RESTART_COUNT"),
        }.OfType<string>()),
    };

    private static readonly LauncherDescriptor Torchrun = TorchVariables with { Started = v => v.Has("TORCHELASTIC_RUN_ID") };

    private static readonly LauncherDescriptor Slurm = new(RankLauncher.Slurm, "srun")
    {
        Started = SlurmStep.IsRank,
        Needs =
        [
            ["SLURM_PROCID"], ["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"], ["SLURM_LOCALID"], ["SLURM_NODEID"],
            ["SLURM_STEP_TASKS_PER_NODE", "SLURM_NTASKS_PER_NODE"], ["SLURM_JOB_ID"], ["SLURM_STEP_ID"],
        ],
        Rank = v => v.Number("SLURM_PROCID"),
        WorldSize = v => v.Number("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"),
        LocalRank = v => v.Number("SLURM_LOCALID"),
        LocalSize = SlurmStep.LocalSize,
        HostIndex = v => v.Number("SLURM_NODEID"),
        HostCount = v => v.OptionalNumber("SLURM_STEP_NUM_NODES", "SLURM_NNODES"),
        Job = v => $"{v.Text("SLURM_JOB_ID")}.{v.Text("SLURM_STEP_ID")}",
    };

    private static readonly LauncherDescriptor SageMaker = new(RankLauncher.SageMaker, "SageMaker")
    {
        Started = v => v.Has("SM_HOSTS") && SageMakerHosts.Names(v).Count > 1,
        Needs = [["SM_HOSTS"], ["SM_CURRENT_HOST"]],
        Rank = SageMakerHosts.Index,
        WorldSize = v => SageMakerHosts.Names(v).Count,
        LocalRank = _ => 0,
        LocalSize = _ => 1,
        HostIndex = v => SageMakerHosts.Index(v),
        HostCount = v => SageMakerHosts.Names(v).Count,
        Job = v => v.Text("TRAINING_JOB_NAME") ?? "training",
    };

    /// <summary>All launchers, the one to ask first in front; <see cref="ClusterEnvironment"/> says why in this order.</summary>
    public static IReadOnlyList<LauncherDescriptor> ByPrecedence { get; } =
        [Own, Torchrun, OpenMpi, Hydra, Mvapich, TorchVariables, Slurm, SageMaker];

    /// <summary>What people call a launcher.</summary>
    public static string NameOf(RankLauncher launcher) => ByPrecedence.First(descriptor => descriptor.Launcher == launcher).Name;
}
