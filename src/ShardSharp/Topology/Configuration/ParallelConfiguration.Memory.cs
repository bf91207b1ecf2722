namespace ShardSharp.Topology;

public sealed partial record ParallelConfiguration
{
    /// <summary>
    /// Which modules compute their activations again in backward instead of keeping them: their names in the model, separated by commas, with
    /// <c>*</c> for any characters but a dot, <c>**</c> for any; <c>layers</c> for the members of lists, such as the blocks of a transformer; null for none.
    /// The program can choose more by <c>model.SetActivationCheckpointing</c>.
    /// </summary>
    /// <value>Default <c>null</c>.</value>
    public string? ActivationCheckpointing { get; init; }

    /// <summary>
    /// Which of these modules that follow one another in a list are checkpointed together: <c>each</c> for itself, all of them
    /// (<c>contiguous</c>), or N at a time (<c>group_N</c>); or each for itself, but with what linear layers return kept (<c>selective</c>).
    /// </summary>
    /// <value>Default <c>"each"</c>.</value>
    public string ActivationCheckpointingStrategy { get; init; } = "each";

    /// <summary>
    /// With <c>activation_checkpointing_strategy</c> = <c>selective</c> the linear layers whose results are kept: their names in the model, separated
    /// by commas, with <c>*</c> for any characters but a dot, <c>**</c> for any; null for all of them.
    /// </summary>
    /// <value>Default <c>null</c>.</value>
    public string? ActivationCheckpointingKept { get; init; }

    /// <summary>
    /// How much memory the activations of the modules named by <c>activation_checkpointing</c> may take on each rank in a microbatch, in MiB: the
    /// first step measures them, and from then on just those are checkpointed that cost least time to stay within. Null checkpoints all.
    /// </summary>
    /// <value>Above 0. Default <c>null</c>.</value>
    public double? ActivationMemoryBudgetMegabytes { get; init; }

    /// <summary>Whether the inputs of checkpointed modules wait for the backward pass on a disk, or those of a GPU in memory of the host.</summary>
    /// <value>Default <c>false</c>.</value>
    public bool OffloadActivations { get; init; }

    /// <summary>How many tasks before their use offloaded activations are loaded back; a task is the backward of one checkpointed module.</summary>
    /// <value>At least 1. Default <c>4</c>.</value>
    public int ActivationLoadingHorizon { get; init; } = 4;

    /// <summary>
    /// The folder of the file that offloaded activations lie in, which has no name there and vanishes with the process; it must be on a disk.
    /// Null takes the temporary folder, <c>/var/tmp</c> or the current folder, the first that is on a disk.
    /// </summary>
    /// <value>Default <c>null</c>.</value>
    public string? ActivationOffloadingFolder { get; init; }
}
