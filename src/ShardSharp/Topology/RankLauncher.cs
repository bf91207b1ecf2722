namespace ShardSharp.Topology;

/// <summary>Who started the ranks of a job, and so whose environment variables say which rank a process is.</summary>
public enum RankLauncher
{
    /// <summary>ShardSharp itself (<c>SHARDSHARP_RANK</c> ...).</summary>
    ShardSharp,

    /// <summary>Open MPI's mpirun, version 4 or 5 (<c>OMPI_COMM_WORLD_RANK</c> ...).</summary>
    OpenMpi,

    /// <summary>The Hydra process manager of MPICH and Intel MPI (<c>PMI_RANK</c> ...).</summary>
    Hydra,

    /// <summary>MVAPICH2's mpirun_rsh (<c>MV2_COMM_WORLD_RANK</c> ...).</summary>
    Mvapich,

    /// <summary>PyTorch's torchrun, or another launcher that sets its variables (<c>RANK</c>, <c>LOCAL_RANK</c> ...).</summary>
    Torchrun,

    /// <summary>Slurm's srun (<c>SLURM_PROCID</c> ...).</summary>
    Slurm,

    /// <summary>SageMaker training on several hosts without MPI or torchrun: one process a host (<c>SM_HOSTS</c> ...).</summary>
    SageMaker,
}
