namespace ShardSharp.Pipeline.Partitioning;

/// <summary>A model cut into the stages of a pipeline.</summary>
/// <param name="Chain">Its parts, which this rank can run.</param>
/// <param name="Partition">Which part is on which stage, the same on all ranks.</param>
internal sealed record PipelineCut(ModelChain Chain, PipelinePartition Partition)
{
    /// <summary>What a stage runs.</summary>
    public IReadOnlyList<ChainPart> PartsOf(int stage) => Chain.Run(Partition.Stages[stage].First, Partition.Stages[stage].Count);

    /// <summary>The parameters that several stages have.</summary>
    public IReadOnlyList<TiedParameter> Ties { get; } = TiedParameter.Of(Partition);
}
