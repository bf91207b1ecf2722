namespace ShardSharp.Topology;

/// <summary>What ranks are and how they communicate.</summary>
public enum CommunicationBackend
{
    /// <summary>Processes of one host that share memory.</summary>
    SharedMemory,

    /// <summary>Threads of this process: every rank in one debugger.</summary>
    Threads,

    /// <summary>Processes started by an MPI launcher, on any number of hosts.</summary>
    Mpi,

    /// <summary>Processes with a GPU each; on several hosts, an MPI launcher starts them.</summary>
    Nccl,
}
