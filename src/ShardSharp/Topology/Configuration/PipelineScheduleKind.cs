namespace ShardSharp.Topology;

/// <summary>The order in which a pipeline runs the forward and backward passes of its microbatches.</summary>
public enum PipelineScheduleKind
{
    /// <summary>Backward passes as soon as they can run, so that activations are freed early (PipeDream-flush, "1F1B").</summary>
    Interleaved,

    /// <summary>Every forward pass, then every backward pass (GPipe, arXiv:1811.06965).</summary>
    Simple,
}
