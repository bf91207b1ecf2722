namespace ShardSharp.Testing;

/// <summary>What the ranks of a test communicate through. In either case they are threads of the test, so a debugger sees them all.</summary>
public enum RankBackend
{
    /// <summary>Ordinary memory of the process: what a thread run uses.</summary>
    Threads,

    /// <summary>Memory shared between processes, mapped once for every rank: what a run of local processes uses.</summary>
    SharedMemory,
}
