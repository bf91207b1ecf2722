namespace ShardSharp.TensorParallel.Layers;

/// <summary>Options of a <see cref="DistributedTransformerLMHead"/>: those of its layers, and of what lies around them.</summary>
public sealed record DistributedLanguageModelOptions : DistributedTransformerOptions
{
    /// <summary>How many tokens there are.</summary>
    /// <value>Default 30522.</value>
    public long VocabularySize { get; init; } = 30522;

    /// <summary>How many positions have embeddings; 0 for none, as with linear biases.</summary>
    /// <value>Default 1024.</value>
    public long NumPositions { get; init; } = 1024;

    /// <summary>How many types of tokens have embeddings; 0 for none.</summary>
    /// <value>Default 0.</value>
    public long NumTokenTypes { get; init; }

    /// <summary>Whether the model returns logits, of the product with the embeddings of the tokens, rather than hidden states.</summary>
    /// <value>Default <c>true</c>.</value>
    public bool AddLanguageModelHead { get; init; } = true;
}
