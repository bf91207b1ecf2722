using ShardSharp.HuggingFace.Configuration;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Bert;

/// <summary>What the <c>config.json</c> of a BERT or RoBERTa says, with the defaults that transformers has.</summary>
internal sealed record EncoderSettings
{
    public required int Vocabulary { get; init; }

    public required int Positions { get; init; }

    public required int TokenTypes { get; init; }

    public required int Hidden { get; init; }

    public required int Layers { get; init; }

    public required int HeadSize { get; init; }

    /// <summary>The width of the feed-forward network.</summary>
    public required int Inner { get; init; }

    public required Func<Tensor, Tensor> Activation { get; init; }

    public required double NormEpsilon { get; init; }

    public required double HiddenDropout { get; init; }

    public required double AttentionDropout { get; init; }

    /// <summary>The token whose embedding gets no gradient; none if null.</summary>
    public required int? Padding { get; init; }

    /// <summary>Whether positions are counted over tokens that are not padding, from the one behind the padding's own number.</summary>
    public bool CountsPositionsBehindPadding { get; init; }

    /// <param name="configuration">The configuration.</param>
    /// <param name="vocabulary">The size of the vocabulary if none is given.</param>
    /// <param name="padding">The padding token if none is given.</param>
    public static EncoderSettings Read(ConfigurationReader configuration, int vocabulary, int padding)
    {
        configuration.Require("is_decoder", false);
        configuration.Require("add_cross_attention", false);
        configuration.Require("tie_word_embeddings", true);
        if (configuration.Text("position_embedding_type") is { } positions and not "absolute")
            throw configuration.Unsupported("position_embedding_type", positions, "absolute");
        var hidden = configuration.Count("hidden_size", 768);
        var heads = configuration.Count("num_attention_heads", 12);
        if (hidden % heads != 0)
            throw configuration.Inconsistent($"hidden_size {hidden} is not a multiple of num_attention_heads {heads}");
        return new EncoderSettings
        {
            Vocabulary = configuration.Count("vocab_size", vocabulary),
            Positions = configuration.Count("max_position_embeddings", 512),
            TokenTypes = configuration.Count("type_vocab_size", 2),
            Hidden = hidden,
            Layers = configuration.Count("num_hidden_layers", 12),
            HeadSize = hidden / heads,
            Inner = configuration.Count("intermediate_size", 3072),
            Activation = HuggingFace.Layers.Activation.Read(configuration, "hidden_act", "gelu"),
            NormEpsilon = configuration.Number("layer_norm_eps", 1e-12),
            HiddenDropout = configuration.Dropout("hidden_dropout_prob", 0.1),
            AttentionDropout = configuration.Dropout("attention_probs_dropout_prob", 0.1),
            Padding = configuration.Integer("pad_token_id", padding),
        };
    }
}
