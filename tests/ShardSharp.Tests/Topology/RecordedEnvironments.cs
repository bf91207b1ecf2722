namespace ShardSharp.Tests.Topology;

/// <summary>What launchers set, one <c>NAME=value</c> a line, as in the output of <c>env</c>.</summary>
internal static class RecordedEnvironments
{
    public const string Own = """
        SHARDSHARP_RANK=3
        SHARDSHARP_WORLD_SIZE=4
        SHARDSHARP_LOCAL_RANK=3
        SHARDSHARP_LOCAL_SIZE=4
        SHARDSHARP_JOB=20250101-4711
        """;

    /// <summary>mpirun -np 4 on two hosts, rank 2.</summary>
    public const string OpenMpi4 = """
        OMPI_APP_CTX_NUM_PROCS=4
        OMPI_ARGV=train.dll
        OMPI_COMMAND=dotnet
        OMPI_COMM_WORLD_LOCAL_RANK=0
        OMPI_COMM_WORLD_LOCAL_SIZE=2
        OMPI_COMM_WORLD_NODE_RANK=0
        OMPI_COMM_WORLD_RANK=2
        OMPI_COMM_WORLD_SIZE=4
        OMPI_MCA_ess_base_jobid=3298623489
        OMPI_MCA_ess_base_vpid=2
        OMPI_MCA_orte_num_nodes=2
        OMPI_UNIVERSE_SIZE=4
        OMPI_MCA_orte_ess_num_procs=4
        PMIX_ID=3298623489.2
        PMIX_NAMESPACE=3298623489
        PMIX_RANK=2
        PMIX_SERVER_URI2=3298623488.1;tcp4://10.0.0.2:40001
        """;

    /// <summary>mpirun -np 2 on one host, rank 1.</summary>
    public const string OpenMpi5 = """
        OMPI_COMM_WORLD_LOCAL_RANK=1
        OMPI_COMM_WORLD_LOCAL_SIZE=2
        OMPI_COMM_WORLD_NODE_RANK=1
        OMPI_COMM_WORLD_RANK=1
        OMPI_COMM_WORLD_SIZE=2
        PMIX_NAMESPACE=prterun-node01-28145@1
        PMIX_RANK=1
        PRTE_LAUNCHED=1
        """;

    /// <summary>mpiexec -n 2 on one host, rank 1.</summary>
    public const string Mpich = """
        GFORTRAN_UNBUFFERED_PRECONNECTED=y
        HYDI_CONTROL_FD=7
        MPIR_CVAR_CH3_INTERFACE_HOSTNAME=node01
        MPI_LOCALNRANKS=2
        MPI_LOCALRANKID=1
        PMI_FD=8
        PMI_RANK=1
        PMI_SIZE=2
        """;

    public const string IntelMpi = """
        I_MPI_HYDRA_UUID=9d260000-7c26-e807-8fb4-050000430af0
        I_MPI_ROOT=/opt/intel/oneapi/mpi/2021.11
        MPI_LOCALNRANKS=4
        MPI_LOCALRANKID=1
        PMI_FD=9
        PMI_RANK=5
        PMI_SIZE=8
        """;

    public const string Mvapich = """
        MPIRUN_ID=28777
        MPIRUN_NPROCS=8
        MV2_COMM_WORLD_LOCAL_RANK=3
        MV2_COMM_WORLD_LOCAL_SIZE=4
        MV2_COMM_WORLD_RANK=7
        MV2_COMM_WORLD_SIZE=8
        MV2_NUM_NODES_IN_JOB=2
        PMI_ID=7
        """;

    /// <summary>torchrun --nnodes 2 --nproc-per-node 4, rank 6.</summary>
    public const string Torchrun = """
        GROUP_RANK=1
        GROUP_WORLD_SIZE=2
        LOCAL_RANK=2
        LOCAL_WORLD_SIZE=4
        MASTER_ADDR=node01.cluster
        MASTER_PORT=29500
        OMP_NUM_THREADS=1
        RANK=6
        ROLE_NAME=default
        ROLE_RANK=6
        ROLE_WORLD_SIZE=8
        TORCHELASTIC_MAX_RESTARTS=3
        TORCHELASTIC_RESTART_COUNT=1
        TORCHELASTIC_RUN_ID=none
        TORCHELASTIC_USE_AGENT_STORE=True
        WORLD_SIZE=8
        """;

    /// <summary>srun -n 7 over four nodes, rank 6 alone on the last.</summary>
    public const string Slurm = """
        SLURM_GTIDS=6
        SLURM_JOB_ID=184467
        SLURM_JOB_NODELIST=node[01-04]
        SLURM_LOCALID=0
        SLURM_NNODES=4
        SLURM_NODEID=3
        SLURM_NTASKS=7
        SLURM_PROCID=6
        SLURM_STEP_ID=2
        SLURM_STEP_NODELIST=node[01-04]
        SLURM_STEP_NUM_NODES=4
        SLURM_STEP_NUM_TASKS=7
        SLURM_STEP_TASKS_PER_NODE=2(x3),1
        SLURM_TASKS_PER_NODE=2(x3),1
        """;

    /// <summary>The script of sbatch --ntasks 8: an allocation, but no step of srun.</summary>
    public const string SlurmBatch = """
        SLURM_JOB_ID=184467
        SLURM_LOCALID=0
        SLURM_NNODES=4
        SLURM_NODEID=0
        SLURM_NTASKS=8
        SLURM_NTASKS_PER_NODE=2
        SLURM_PROCID=0
        SLURM_TASKS_PER_NODE=2(x4)
        """;

    /// <summary>The shell of salloc where the cluster is set up with use_interactive_step.</summary>
    public const string SlurmInteractive = """
        SLURM_JOB_ID=184467
        SLURM_LOCALID=0
        SLURM_NNODES=1
        SLURM_NODEID=0
        SLURM_NTASKS=8
        SLURM_PROCID=0
        SLURM_PTY_PORT=34889
        SLURM_PTY_WIN_COL=236
        SLURM_STEP_ID=4294967290
        SLURM_STEP_NUM_NODES=1
        SLURM_STEP_NUM_TASKS=1
        SLURM_STEP_TASKS_PER_NODE=1
        """;

    public const string SageMaker = """
        SM_CHANNEL_TRAIN=/opt/ml/input/data/train
        SM_CURRENT_HOST=algo-2
        SM_HOSTS=["algo-1","algo-2"]
        SM_NETWORK_INTERFACE_NAME=eth0
        SM_NUM_GPUS=8
        TRAINING_JOB_NAME=gpt-2025-01-01-12-00-00-000
        """;

    /// <summary>The variables of some recordings; a name alone takes a variable away, a later recording wins.</summary>
    public static Dictionary<string, string> Variables(params IEnumerable<string> recordings)
    {
        var variables = new Dictionary<string, string> { ["PATH"] = "/usr/bin", ["HOME"] = "/root" };
        foreach (var line in recordings.SelectMany(recording => recording.Split('\n', StringSplitOptions.RemoveEmptyEntries)))
        {
            var parts = line.Split('=', 2);
            if (parts.Length == 1)
                variables.Remove(parts[0]);
            else
                variables[parts[0]] = parts[1];
        }

        return variables;
    }
}
