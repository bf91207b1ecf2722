namespace ShardSharp.TensorParallel;

/// <summary>Options of <see cref="VocabularyParallelLoss"/>.</summary>
public sealed record CrossEntropyOptions
{
    /// <summary>The label of positions that do not count.</summary>
    /// <value>Default -100.</value>
    public long IgnoreIndex { get; init; } = -100;

    /// <summary>Which part of the target is spread evenly over the vocabulary (Szegedy et al., arXiv:1512.00567).</summary>
    /// <value>From 0 to 1. Default 0.</value>
    public double LabelSmoothing { get; init; }

    /// <summary>
    /// By what the mean square of the logarithm of the softmax's denominator is multiplied and added to the loss, which keeps logits small
    /// (Chowdhery et al., "PaLM", arXiv:2204.02311).
    /// </summary>
    /// <value>At least 0. Default 0.</value>
    public double ZLoss { get; init; }
}
