namespace ShardSharp.Topology;

/// <summary>
/// What the environment variables say about a process that a launcher started as one rank of many.
/// </summary>
/// <remarks>
/// The innermost launcher speaks for the process, so the order in which they are asked is: ShardSharp; torchrun's own workers
/// (<c>TORCHELASTIC_RUN_ID</c>), since mpirun and srun are used to start one torchrun per host and not the other way round; Open MPI,
/// Hydra and MVAPICH2; plain <c>RANK</c> and <c>WORLD_SIZE</c>, which some schedulers set for a whole host; Slurm, under which all of the
/// above run; and SageMaker, which sets its variables in every container.
/// </remarks>
public sealed record ClusterEnvironment
{
    /// <summary>Who started the rank.</summary>
    public required RankLauncher Launcher { get; init; }

    /// <summary>The rank in the world.</summary>
    public required int Rank { get; init; }

    /// <summary>The number of ranks.</summary>
    public required int WorldSize { get; init; }

    /// <summary>The rank among those on the same host.</summary>
    public required int LocalRank { get; init; }

    /// <summary>The number of ranks on the same host; hosts may differ.</summary>
    public required int LocalSize { get; init; }

    /// <summary>Which host this is, from 0; null where the launcher does not say (MPI on several hosts).</summary>
    public int? HostIndex { get; init; }

    /// <summary>The number of hosts; null where the launcher does not say (MPI on several hosts).</summary>
    public int? HostCount { get; init; }

    /// <summary>
    /// A name that all ranks of the job on this host agree on and no other job on it has at the same time: at most 64 letters, digits,
    /// dots, underscores and hyphens, fit for the name of a file or of shared memory.
    /// </summary>
    public required string Job { get; init; }

    /// <summary>
    /// Finds out which rank this process is. The result depends on the arguments alone.
    /// </summary>
    /// <param name="environment">The environment variables; an empty one counts as not set.</param>
    /// <param name="parentProcessId">The identifier of the parent process. It names the job where the launcher does not (MPICH), since the
    /// ranks of a host are then children of one process.</param>
    /// <returns>The rank's environment, or null when no launcher started the process as a rank. A Slurm batch script or interactive shell
    /// (no step that srun started) is not a rank, and neither is the process on a SageMaker job's only host.</returns>
    /// <exception cref="ClusterEnvironmentException">A launcher's variables are incomplete or contradict each other.</exception>
    public static ClusterEnvironment? Detect(IReadOnlyDictionary<string, string> environment, int? parentProcessId = null)
    {
        ArgumentNullException.ThrowIfNull(environment);
        foreach (var descriptor in Launchers.ByPrecedence)
        {
            if (!descriptor.Started(new LauncherVariables(environment, descriptor.Name)))
                continue;
            var found = descriptor.Read(environment, parentProcessId);
            if (descriptor.IsMpi)
                CheckNoOtherMpi(found, descriptor, environment, parentProcessId);
            return found;
        }

        return null;
    }

    private static void CheckNoOtherMpi(
        ClusterEnvironment found, LauncherDescriptor descriptor, IReadOnlyDictionary<string, string> environment, int? parentProcessId)
    {
        foreach (var other in Launchers.ByPrecedence.Where(other => other.IsMpi && other != descriptor))
        {
            var variables = new LauncherVariables(environment, other.Name);
            if (!other.Started(variables))
                continue;
            var rival = other.Read(environment, parentProcessId);
            if (rival.Rank == found.Rank && rival.WorldSize == found.WorldSize)
                continue;
            throw new ClusterEnvironmentException(
                $"Two MPI launchers contradict each other: {descriptor.Name} says rank {found.Rank} of {found.WorldSize} "
                + $"({descriptor.Values(environment)}), {other.Name} says rank {rival.Rank} of {rival.WorldSize} "
                + $"({other.Values(environment)}). Unset the variables of the one that did not start this process.");
        }
    }
}
