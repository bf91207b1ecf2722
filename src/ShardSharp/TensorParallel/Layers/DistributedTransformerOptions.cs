namespace ShardSharp.TensorParallel.Layers;

/// <summary>Sizes and kinds of the parts of a transformer; names and defaults are those of SMP's distributed modules.</summary>
public record DistributedTransformerOptions
{
    /// <summary>Layers of a <see cref="DistributedTransformer"/>.</summary>
    /// <value>At least 1. Default 12.</value>
    public int NumLayers { get; init; } = 12;

    /// <summary>Attention heads, which the ranks divide.</summary>
    /// <value>Default 32.</value>
    public long NumAttentionHeads { get; init; } = 32;

    /// <summary>Features of a head; those of all heads need not be as many as hidden features.</summary>
    /// <value>Default 32.</value>
    public long AttentionHeadSize { get; init; } = 32;

    /// <summary>Hidden features, which the ranks divide.</summary>
    /// <value>Default 1024.</value>
    public long HiddenSize { get; init; } = 1024;

    /// <summary>Features between the linear layers of the feed-forward network, which the ranks divide.</summary>
    /// <value>Default 4096.</value>
    public long IntermediateSize { get; init; } = 4096;

    /// <summary>With which probability an attention weight is dropped in training.</summary>
    /// <value>0 to 1. Default 0.1.</value>
    public double AttentionDropoutProbability { get; init; } = 0.1;

    /// <summary>With which probability an output of attention or of the feed-forward network is dropped in training.</summary>
    /// <value>0 to 1. Default 0.1.</value>
    public double HiddenDropoutProbability { get; init; } = 0.1;

    /// <summary>What lies between the linear layers of the feed-forward network.</summary>
    /// <value>Default <see cref="TransformerActivation.Gelu"/>.</value>
    public TransformerActivation Activation { get; init; } = TransformerActivation.Gelu;

    /// <summary>What layer normalisation adds to the variance.</summary>
    /// <value>Default 1e-5.</value>
    public double LayerNormEpsilon { get; init; } = 1e-5;

    /// <summary>The standard deviation of initial weights, where they are drawn from a normal distribution.</summary>
    /// <value>Default 0.02.</value>
    public double InitializerRange { get; init; } = 0.02;

    /// <summary>Whether weights of linear layers are drawn from a normal distribution, with biases of 0, rather than as <c>nn.Linear</c> does.</summary>
    /// <value>Default <c>false</c>.</value>
    public bool UseNormalInitialization { get; init; }

    /// <summary>The longest sequence, if positions attend to themselves and earlier ones only; null if they attend to all.</summary>
    /// <value>Default <c>null</c>.</value>
    public int? CausalMaskSize { get; init; }

    /// <summary>Whether layers also attend to other states, as those of an encoder, after their self-attention.</summary>
    /// <value>Default <c>false</c>.</value>
    public bool AddCrossAttention { get; init; }

    /// <summary>Whether attention and the feed-forward network begin with layer normalisation.</summary>
    /// <value>Default <c>false</c>.</value>
    public bool PreLayerNorm { get; init; }

    /// <summary>Whether the sums of attention and of the feed-forward network with what they were given are normalised.</summary>
    /// <value>Default <c>true</c>.</value>
    public bool PostLayerNorm { get; init; } = true;

    /// <summary>Whether self-attention adds linear biases, which grow with the distance (Press et al., "ALiBi", arXiv:2108.12409).</summary>
    /// <value>Default <c>false</c>.</value>
    public bool UseAlibi { get; init; }

    /// <summary>The exponent of the last head's slope: head i of n from 1 has the slope 2 to the power of -i times this over n.</summary>
    /// <value>Default 8.</value>
    public double AlibiBiasMax { get; init; } = 8;

    /// <summary>Whether residuals are added in float32.</summary>
    /// <value>Default <c>false</c>.</value>
    public bool Float32ResidualAddition { get; init; }

    /// <summary>Refuses what cannot be.</summary>
    /// <exception cref="ArgumentException">A value is out of its range.</exception>
    internal void Validate()
    {
        foreach (var (name, size) in new[]
        {
            (nameof(NumLayers), NumLayers), (nameof(NumAttentionHeads), NumAttentionHeads), (nameof(AttentionHeadSize), AttentionHeadSize),
            (nameof(HiddenSize), HiddenSize), (nameof(IntermediateSize), IntermediateSize), (nameof(CausalMaskSize), CausalMaskSize ?? 1),
        })
        {
            if (size < 1)
                throw new ArgumentException($"{name} is {size}; it must be at least 1.");
        }

        foreach (var (name, probability) in new[]
        {
            (nameof(AttentionDropoutProbability), AttentionDropoutProbability), (nameof(HiddenDropoutProbability), HiddenDropoutProbability),
        })
        {
            if (probability is not (>= 0 and <= 1))
                throw new ArgumentException($"{name} is {probability}; it must be from 0 to 1.");
        }

        if (!PreLayerNorm && !PostLayerNorm)
            throw new ArgumentException($"{nameof(PreLayerNorm)} and {nameof(PostLayerNorm)} are false; at least one must be true.");
    }
}
