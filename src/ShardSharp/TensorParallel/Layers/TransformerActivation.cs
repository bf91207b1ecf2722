namespace ShardSharp.TensorParallel.Layers;

/// <summary>What the feed-forward network of a transformer has between its linear layers.</summary>
public enum TransformerActivation
{
    /// <summary>The Gaussian error linear unit, exact (Hendrycks and Gimpel, arXiv:1606.08415).</summary>
    Gelu,

    /// <summary>The rectified linear unit.</summary>
    Relu,
}
