namespace ShardSharp.Topology;

/// <summary>The order in which a pipeline runs the forward and backward passes of its microbatches.</summary>
public enum PipelineScheduleKind
{
    /// <summary>Backward passes as soon as they can run, so that activations are freed early (PipeDream-flush, "1F1B").</summary>
    Interleaved,

    /// <summary>The same, but the last backward passes of each rank are in two parts, and the one that another rank waits for comes first.</summary>
    InterleavedDividedDrain,

    /// <summary>Every forward pass, then every backward pass (GPipe, arXiv:1811.06965).</summary>
    Simple,

    /// <summary>1F1B with several stages on each rank ("interleaved 1F1B", virtual stages, arXiv:2104.04473).</summary>
    InterleavedChunks,

    /// <summary>1F1B with the backward in two parts (ZB-H1, arXiv:2401.10241).</summary>
    ZeroBubbleH1,

    /// <summary>Two stages a rank, down and up, with the backward in two parts (ZB-V, arXiv:2401.10241).</summary>
    ZeroBubbleV,

    /// <summary>Forward passes alone.</summary>
    ForwardOnly,
}
