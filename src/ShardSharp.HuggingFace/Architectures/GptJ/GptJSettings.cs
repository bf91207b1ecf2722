using ShardSharp.HuggingFace.Configuration;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.GptJ;

/// <summary>What a GPT-J's <c>config.json</c> says, with the defaults that transformers has.</summary>
internal sealed record GptJSettings
{
    public required int Vocabulary { get; init; }

    public required int Hidden { get; init; }

    public required int Layers { get; init; }

    public required int HeadSize { get; init; }

    /// <summary>The width of the feed-forward network.</summary>
    public required int Inner { get; init; }

    public required Func<Tensor, Tensor> Activation { get; init; }

    public required double NormEpsilon { get; init; }

    public required double EmbeddingDropout { get; init; }

    public required double AttentionDropout { get; init; }

    /// <summary>The dropout of what is added to the residual stream.</summary>
    public required double ResidualDropout { get; init; }

    public required RotarySettings Rotary { get; init; }

    /// <summary>Whether the head is the embedding.</summary>
    public required bool IsTied { get; init; }

    public static GptJSettings Read(ConfigurationReader configuration)
    {
        // The longest sequence of the training; rotary positions have no end of their own.
        configuration.Ignore("n_positions", "summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type",
            "summary_use_proj", "scale_attn_weights");
        var hidden = configuration.Count("n_embd", 4096);
        var heads = configuration.Count("n_head", 16);
        if (hidden % heads != 0)
            throw configuration.Inconsistent($"n_embd {hidden} is not a multiple of n_head {heads}");
        var turned = configuration.CountOrNone("rotary_dim", 64)
            ?? throw configuration.Unsupported("rotary_dim", "null", "a whole number up to the size of a head");
        if (turned % 2 != 0 || turned > hidden / heads)
            throw configuration.Inconsistent($"rotary_dim {turned} is not even, or more than the {hidden / heads} dimensions of a head");
        return new GptJSettings
        {
            Vocabulary = configuration.Count("vocab_size", 50400),
            Hidden = hidden,
            Layers = configuration.Count("n_layer", 28),
            HeadSize = hidden / heads,
            Inner = configuration.Count("n_inner", 4 * hidden),
            Activation = HuggingFace.Layers.Activation.Read(configuration, "activation_function", "gelu_new"),
            NormEpsilon = configuration.Number("layer_norm_epsilon", 1e-5),
            EmbeddingDropout = configuration.Dropout("embd_pdrop", 0),
            AttentionDropout = configuration.Dropout("attn_pdrop", 0),
            ResidualDropout = configuration.Dropout("resid_pdrop", 0),
            Rotary = new RotarySettings(turned, 10_000, RotaryScaling.None),
            IsTied = configuration.Flag("tie_word_embeddings", false),
        };
    }
}
