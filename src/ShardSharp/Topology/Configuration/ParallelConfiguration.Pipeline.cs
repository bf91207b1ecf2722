namespace ShardSharp.Topology;

public sealed partial record ParallelConfiguration
{
    /// <summary>
    /// Into how many parts a step cuts its batch. With one pipeline stage they run one after another, which saves activation memory.
    /// </summary>
    /// <value>At least 1; divides every batch. Default <c>1</c>.</value>
    public int Microbatches { get; init; } = 1;

    /// <summary>Into how many stages (SMP: partitions) the model is cut, each on its own rank.</summary>
    /// <value>At least 1. Default <c>1</c>.</value>
    public int PipelineParallelDegree { get; init; } = 1;

    /// <summary>The order of the forward and backward passes of microbatches.</summary>
    /// <value>Default <c>"interleaved"</c>.</value>
    public PipelineScheduleKind Pipeline { get; init; } = PipelineScheduleKind.Interleaved;

    /// <summary>
    /// A file with the order instead: a line per rank, its actions separated by commas, as <c>shardsharp schedule</c> prints them. Evaluation takes
    /// the forwards alone.
    /// </summary>
    /// <value>Default <c>null</c>.</value>
    public string? PipelineScheduleFile { get; init; }

    /// <summary>
    /// How many microbatches may be in flight at once; fewer hold fewer activations. Null is two more than there are stages.
    /// </summary>
    /// <value>At least 1. Default <c>null</c>.</value>
    public int? ActiveMicrobatches { get; init; }

    /// <summary>Whether the library decides which stage a module belongs to; otherwise the program does.</summary>
    /// <value>Default <c>true</c>.</value>
    public bool AutoPartition { get; init; } = true;

    /// <summary>The stage of modules the program does not assign; must be given when <c>auto_partition</c> is false.</summary>
    /// <value>0 to <see cref="PipelineParallelDegree"/> - 1. Default <c>null</c>.</value>
    public int? DefaultPartition { get; init; }

    /// <summary>
    /// How much automatic partitioning balances memory, the rest being computation. Null is 0.8, or 0.2 when <c>optimize</c> is speed.
    /// </summary>
    /// <value>0 to 1. Default <c>null</c>.</value>
    public double? MemoryWeight { get; init; }

    /// <summary>
    /// What to favour where speed and memory compete. For memory, tensor parallelism divides activations along the sequence as well, where the
    /// model's own plan can.
    /// </summary>
    /// <value>Default <c>"memory"</c>.</value>
    public OptimizationGoal Optimize { get; init; } = OptimizationGoal.Memory;

    /// <summary>
    /// Whether automatic partitioning works from parameter sizes alone, without first running the model once to measure it.
    /// </summary>
    /// <value>Default <c>false</c>.</value>
    public bool SkipTracing { get; init; }

    /// <summary>
    /// Whether parts of the model that share a parameter, such as a tied embedding and head, may get on different stages, which then keep their
    /// copies of it the same. Otherwise they stay together.
    /// </summary>
    /// <value>Default <c>false</c>.</value>
    public bool SplitTiedParameters { get; init; }

    /// <summary>The most memory that parameters and the activations of one microbatch may take on a stage, in MiB; null for no limit.</summary>
    /// <value>More than 0. Default <c>null</c>.</value>
    public double? StageMemoryLimitMegabytes { get; init; }

    /// <summary>
    /// Which stage the modules are on whose names fit patterns; the first that fits a part or a module around it counts, and goes before what
    /// the program says. For <c>auto_partition</c> = false.
    /// </summary>
    /// <value><c>*</c> stands for any characters but a dot, <c>**</c> for any. Default <c>null</c>.</value>
    public string? PartitionPatterns { get; init; }

    /// <summary>
    /// A file with the partition. If it exists, it decides which part of the model is on which stage; if not, the first rank writes its decision
    /// there.
    /// </summary>
    /// <value>Default <c>null</c>.</value>
    public string? PipelinePartitionFile { get; init; }

    /// <summary>The memory weight in force: <see cref="MemoryWeight"/>, else what <see cref="Optimize"/> implies.</summary>
    public double EffectiveMemoryWeight => MemoryWeight ?? (Optimize == OptimizationGoal.Speed ? 0.2 : 0.8);

    /// <summary>
    /// The limit of microbatches in flight that is in force: <see cref="ActiveMicrobatches"/>, else two more than there are stages, and
    /// never more than there are microbatches.
    /// </summary>
    public int EffectiveActiveMicrobatches => (int)Math.Min(Microbatches, ActiveMicrobatches ?? PipelineParallelDegree + 2L);
}
