namespace ShardSharp.Topology;

/// <summary>The environment variables through which ShardSharp's own launcher tells a process which rank it is.</summary>
internal static class RankVariables
{
    public const string Rank = "SHARDSHARP_RANK";
    public const string WorldSize = "SHARDSHARP_WORLD_SIZE";
    public const string LocalRank = "SHARDSHARP_LOCAL_RANK";
    public const string LocalSize = "SHARDSHARP_LOCAL_SIZE";

    /// <summary>A name that all ranks of one launch share, and no other process has.</summary>
    public const string Job = "SHARDSHARP_JOB";

    /// <summary>The launcher: its process id and, after a colon, the tick of its start, which no other process of that id shares.</summary>
    public const string Launcher = "SHARDSHARP_LAUNCHER";

    /// <summary>The MPI library to load, by name or path, instead of the one that fits the launcher.</summary>
    public const string MpiLibrary = Native.MpiLibraryNames.Variable;

    /// <summary>The NCCL library to load, by name or path, instead of the system's or libtorch's.</summary>
    public const string NcclLibrary = Native.NcclLibrary.Variable;

    /// <summary>The name of the rank's host, instead of the system's: ranks of different names never share memory.</summary>
    public const string Host = "SHARDSHARP_HOST";

    /// <summary>How often all ranks of the run have been started again after a failure; not set at first.</summary>
    public const string Restart = "SHARDSHARP_RESTART";

    /// <summary>All of them: none is configuration.</summary>
    public static IReadOnlySet<string> All { get; } = new HashSet<string>
    {
        Rank, WorldSize, LocalRank, LocalSize, Job, Launcher, Restart, MpiLibrary, NcclLibrary, Host,
    };
}
