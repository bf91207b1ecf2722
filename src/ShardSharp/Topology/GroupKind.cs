namespace ShardSharp.Topology;

/// <summary>
/// The groups every rank belongs to, and with each the rank and size it has there. They are those of the SageMaker Model Parallelism
/// Library (SMP), whose name is given for each.
/// </summary>
public enum GroupKind
{
    /// <summary>All ranks (SMP: <c>WORLD</c>, <c>rank()</c>, <c>size()</c>).</summary>
    World,

    /// <summary>The pipeline stages of one model slice (SMP: <c>PP_GROUP</c>).</summary>
    Pipeline,

    /// <summary>The ranks that share the layers of one stage (SMP: <c>TP_GROUP</c>).</summary>
    Tensor,

    /// <summary>The ranks that hold exactly the same parameters (SMP: <c>RDP_GROUP</c>, reduced data parallelism).</summary>
    ReducedData,

    /// <summary>The ranks of one pipeline stage: those of the tensor and the reduced data axis (SMP: <c>DP_GROUP</c>).</summary>
    Data,

    /// <summary>The ranks that together hold one copy of the model: the pipeline and the tensor axis (SMP: <c>MP_GROUP</c>).</summary>
    Model,
}
