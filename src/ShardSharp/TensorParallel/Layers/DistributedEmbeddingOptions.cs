namespace ShardSharp.TensorParallel.Layers;

/// <summary>Options of a <see cref="DistributedEmbedding"/>; names and defaults are SMP's.</summary>
public sealed record DistributedEmbeddingOptions
{
    /// <summary>The token whose vector is zero at first and gets no gradient; null for none.</summary>
    /// <value>Default <c>null</c>.</value>
    public long? PaddingIndex { get; init; }

    /// <summary>The largest norm of a vector: longer ones are shortened when they are looked up; null for no limit.</summary>
    /// <value>Greater than 0. Default <c>null</c>.</value>
    public double? MaxNorm { get; init; }

    /// <summary>Which norm <see cref="MaxNorm"/> limits.</summary>
    /// <value>Greater than 0. Default 2.</value>
    public double NormType { get; init; } = 2;

    /// <summary>Whether the gradient of a vector is divided by how often the batch has its token.</summary>
    /// <value>Default <c>false</c>.</value>
    public bool ScaleGradientByFrequency { get; init; }

    /// <summary>The standard deviation of the initial vectors.</summary>
    /// <value>Default 0.02.</value>
    public double InitializerRange { get; init; } = 0.02;
}
