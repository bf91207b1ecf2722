namespace ShardSharp.Topology;

/// <summary>What carries the collectives of data parallelism.</summary>
public enum DataParallelBackend
{
    /// <summary>The backend of the session.</summary>
    Auto,

    /// <summary>NCCL, for the GPUs' memory, beside the backend of the session.</summary>
    Nccl,
}
