namespace ShardSharp.Topology;

/// <summary>Everything one rank knows about its place: its rank in, and the size of, each group it belongs to.</summary>
public sealed record RankPosition
{
    /// <summary>The rank in the world (SMP: <c>rank()</c>).</summary>
    public required int Rank { get; init; }

    /// <summary>The number of ranks (SMP: <c>size()</c>).</summary>
    public required int Size { get; init; }

    /// <summary>The rank among those on the same host (SMP: <c>local_rank()</c>).</summary>
    public required int LocalRank { get; init; }

    /// <summary>The number of ranks on the same host (SMP: <c>local_size()</c>).</summary>
    public required int LocalSize { get; init; }

    /// <summary>The pipeline stage (SMP: <c>pp_rank()</c>).</summary>
    public required int PipelineRank { get; init; }

    /// <summary>The number of pipeline stages (SMP: <c>pp_size()</c>).</summary>
    public required int PipelineSize { get; init; }

    /// <summary>The slice of the stage's layers (SMP: <c>tp_rank()</c>).</summary>
    public required int TensorRank { get; init; }

    /// <summary>The number of slices of a layer (SMP: <c>tp_size()</c>).</summary>
    public required int TensorSize { get; init; }

    /// <summary>The rank among those that hold the same parameters (SMP: <c>rdp_rank()</c>).</summary>
    public required int ReducedDataRank { get; init; }

    /// <summary>The number of ranks that hold the same parameters (SMP: <c>rdp_size()</c>).</summary>
    public required int ReducedDataSize { get; init; }

    /// <summary>The rank among those of the same pipeline stage (SMP: <c>dp_rank()</c>).</summary>
    public required int DataRank { get; init; }

    /// <summary>The number of ranks of a pipeline stage (SMP: <c>dp_size()</c>).</summary>
    public required int DataSize { get; init; }

    /// <summary>The rank among those of the same copy of the model (SMP: <c>mp_rank()</c>).</summary>
    public required int ModelRank { get; init; }

    /// <summary>The number of ranks that hold one copy of the model (SMP: <c>mp_size()</c>).</summary>
    public required int ModelSize { get; init; }
}
