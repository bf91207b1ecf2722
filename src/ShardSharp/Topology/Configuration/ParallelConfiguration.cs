namespace ShardSharp.Topology;

/// <summary>
/// How a program is spread over ranks: SMP's configuration keys under .NET names, and ShardSharp's own. Immutable; a value is checked when
/// the configuration is loaded or launched, not when it is set, so that everything wrong is reported at once.
/// </summary>
/// <remarks>
/// Every property is one key of the JSON configuration. <c>docs/configuration.md</c> lists keys, values, defaults and rules.
/// </remarks>
/// <seealso href="https://sagemaker.readthedocs.io/en/v2.199.0/api/training/smd_model_parallel_general.html">SMP's keys</seealso>
public sealed partial record ParallelConfiguration
{
    internal static ParallelConfiguration Default { get; } = new();

    /// <summary>
    /// How many ranks to start on this machine. Ignored in a rank that another launcher (mpirun, srun, torchrun) started.
    /// </summary>
    /// <value>1 to 1024; a multiple of the product of the degrees. Default <c>1</c>.</value>
    public int Ranks { get; init; } = 1;

    /// <summary>
    /// What ranks are and how they communicate: processes that share memory, threads of one process for debugging, processes that an MPI
    /// launcher started, on any number of hosts, or processes with a GPU each, which communicate through NCCL.
    /// </summary>
    /// <value>Default <c>"shared-memory"</c>.</value>
    public CommunicationBackend Backend { get; init; } = CommunicationBackend.SharedMemory;

    /// <summary>Whether ranks have a GPU each and communicate its memory through NCCL.</summary>
    internal bool UsesNccl => Backend == CommunicationBackend.Nccl || DataParallelBackend == DataParallelBackend.Nccl;

    /// <summary>How many threads libtorch computes with in each rank; null divides the cores of the machine among its ranks.</summary>
    /// <value>Default <c>null</c>.</value>
    public int? ThreadsPerRank { get; init; }

    /// <summary>The seed of everything random: initial parameters, the order of samples, dropout.</summary>
    /// <value>Default <c>0</c>.</value>
    public int Seed { get; init; }

    /// <summary>How long a collective operation may wait for other ranks before the job ends with a report, in seconds.</summary>
    /// <value>Default <c>300</c> (seconds).</value>
    public TimeSpan CollectiveTimeout { get; init; } = TimeSpan.FromSeconds(300);

    /// <summary>How long ranks may take to find each other at the start, in seconds.</summary>
    /// <value>Default <c>60</c> (seconds).</value>
    public TimeSpan RendezvousTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>
    /// How often all ranks that this program starts are started again after one has failed. The program sees the count in
    /// <c>session.RestartCount</c> and resumes from its checkpoint. Ranks that another launcher started are its to restart.
    /// </summary>
    /// <value>Default <c>0</c>.</value>
    public int MaximumRestarts { get; init; }

    /// <summary>
    /// A file that gets the report of a failure between ranks (a mismatch, a timeout, a rank that died) in addition to standard error;
    /// null for none. A relative path starts at the current folder of the rank that writes it.
    /// </summary>
    /// <value>Default <c>null</c>.</value>
    public string? FlightRecorderFile { get; init; }

    /// <summary>Whether the first rank prints a line about its memory after each step; <c>session.MemoryReport()</c> tells more.</summary>
    /// <value>Default <c>false</c>.</value>
    public bool MemoryReport { get; init; }

    /// <summary>
    /// Which rank takes which place: a name, or the axes data (D), pipeline (P) and tensor (T) with the right-most varying fastest.
    /// </summary>
    /// <value><c>"cluster"</c> is DPT, <c>"spread"</c> is TPD. Default <c>"cluster"</c>.</value>
    public string PlacementStrategy { get; init; } = "cluster";

    /// <summary><see cref="PlacementStrategy"/> as its three axis letters, such as <c>DPT</c>.</summary>
    public string PlacementOrder => PlacementSyntax.Order(PlacementStrategy);

    /// <summary>Whether memory for a parameter is taken only when it is known which rank holds it: models are built in a file on disk.</summary>
    /// <value>Default <c>false</c>.</value>
    public bool DelayedParameterInitialization { get; init; }

    /// <summary>
    /// The folder of that file, which has no name there and vanishes with its last use; it must be on a disk with room for the model on
    /// each rank of the host. Null takes the temporary folder, <c>/var/tmp</c> or the current folder, the first that is on a disk.
    /// </summary>
    /// <value>Default <c>null</c>.</value>
    public string? DelayedInitializationFolder { get; init; }
}
