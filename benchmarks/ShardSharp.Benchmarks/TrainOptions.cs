using ShardSharp.Topology;

namespace ShardSharp.Benchmarks;

/// <summary>What to train, how, and for how long.</summary>
/// <param name="Mode">How the ranks share the work.</param>
/// <param name="Ranks">Number of ranks.</param>
/// <param name="Threads">Compute threads of each rank.</param>
/// <param name="Shape">Sizes of the model.</param>
/// <param name="Batch">Sequences per step over all ranks.</param>
/// <param name="Microbatches">In how many parts a rank works off its share of the batch.</param>
/// <param name="Steps">Steps to time.</param>
/// <param name="Warmup">Steps before those.</param>
/// <param name="Seed">Seed of parameters and tokens.</param>
/// <param name="SequenceParallel">Whether tensor-parallel ranks divide activations along the sequence too.</param>
internal sealed record TrainOptions(
    TrainMode Mode, int Ranks, int Threads, GptShape Shape, int Batch, int Microbatches, int Steps, int Warmup, int Seed,
    bool SequenceParallel = false)
{
    /// <summary>Ranks that take different samples.</summary>
    public int DataRanks => Mode is TrainMode.Tp or TrainMode.Pp ? 1 : Ranks;

    /// <summary>How blocks are checkpointed; null for not at all.</summary>
    public string? CheckpointStrategy { get; init; }

    /// <summary>MiB that the blocks' activations may take; null for any.</summary>
    public double? ActivationBudget { get; init; }

    /// <summary>Whether the inputs of checkpointed blocks wait on a disk.</summary>
    public bool OffloadsActivations { get; init; }

    /// <summary>The schedule of a pipeline.</summary>
    public PipelineScheduleKind Schedule { get; init; } = PipelineScheduleKind.Interleaved;

    /// <summary>Whether the ranks of a pipeline also train apart after each step, for the speed without communication.</summary>
    public bool MeasuresBound { get; init; }

    /// <summary>What cannot be run, in words; empty if all is well.</summary>
    public IEnumerable<string> Violations()
    {
        if (Mode is TrainMode.Plain or TrainMode.Single && Ranks != 1)
            yield return $"--ranks is {Ranks}, but mode {Mode.ToString().ToLowerInvariant()} is for 1 rank. For more: --mode ddp, sdp, oss, tp or pp.";
        if (Batch % (DataRanks * Microbatches) != 0)
            yield return $"--batch is {Batch}, which {DataRanks} ranks cannot share out equally in {Microbatches} microbatches each. "
                + $"It works with a multiple of {DataRanks * Microbatches}.";
        if (Mode == TrainMode.Tp && Shape.Heads % Ranks != 0)
            yield return $"--heads is {Shape.Heads}, which {Ranks} tensor-parallel ranks cannot share. It works with a multiple of {Ranks}.";
        if (SequenceParallel && Mode != TrainMode.Tp)
            yield return "--sequence-parallel is for --mode tp.";
        if (Mode == TrainMode.Plain && CheckpointStrategy is not null)
            yield return "--activation-checkpointing is not for mode plain, which is TorchSharp alone. For one rank: --mode single.";
        if (CheckpointStrategy is null && (ActivationBudget is not null || OffloadsActivations))
            yield return "--activation-budget and --offload-activations go with --activation-checkpointing.";
        if (MeasuresBound && (Mode != TrainMode.Pp || Microbatches % Ranks != 0))
            yield return $"--bound is for --mode pp with a number of microbatches that the {Ranks} ranks can share.";
        if (Shape.Hidden % Shape.Heads != 0)
            yield return $"--hidden is {Shape.Hidden}, which {Shape.Heads} heads do not divide. It works with a multiple of {Shape.Heads}.";
    }
}

/// <summary>How the ranks share the work.</summary>
internal enum TrainMode
{
    /// <summary>TorchSharp alone, written with care: what ShardSharp on one rank is compared with.</summary>
    Plain,

    /// <summary>ShardSharp on one rank.</summary>
    Single,

    /// <summary>Replicated data parallelism.</summary>
    Ddp,

    /// <summary>Sharded data parallelism over all ranks.</summary>
    Sdp,

    /// <summary>Optimizer state sharding.</summary>
    Oss,

    /// <summary>Tensor parallelism over all ranks.</summary>
    Tp,

    /// <summary>A pipeline of as many stages as ranks, or twice as many where the schedule says so.</summary>
    Pp,
}
