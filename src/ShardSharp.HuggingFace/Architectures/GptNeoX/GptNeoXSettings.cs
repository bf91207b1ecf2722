using ShardSharp.HuggingFace.Configuration;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.GptNeoX;

/// <summary>What a GPT-NeoX's <c>config.json</c> says, with the defaults that transformers has.</summary>
internal sealed record GptNeoXSettings
{
    public required int Vocabulary { get; init; }

    public required int Hidden { get; init; }

    public required int Layers { get; init; }

    public required int HeadSize { get; init; }

    /// <summary>The width of the feed-forward network.</summary>
    public required int Inner { get; init; }

    public required Func<Tensor, Tensor> Activation { get; init; }

    public required double NormEpsilon { get; init; }

    public required double AttentionDropout { get; init; }

    /// <summary>The dropout of the embedding and of what is added to the residual stream.</summary>
    public required double HiddenDropout { get; init; }

    /// <summary>Whether attention and feed-forward network see the same input.</summary>
    public required bool IsParallel { get; init; }

    /// <summary>Whether the projections of attention have biases.</summary>
    public required bool HasAttentionBias { get; init; }

    public required RotarySettings Rotary { get; init; }

    /// <summary>Whether the head is the embedding.</summary>
    public required bool IsTied { get; init; }

    public static GptNeoXSettings Read(ConfigurationReader configuration)
    {
        configuration.Ignore("is_decoder");
        var hidden = configuration.Count("hidden_size", 6144);
        var heads = configuration.Count("num_attention_heads", 64);
        if (hidden % heads != 0)
            throw configuration.Inconsistent($"hidden_size {hidden} is not a multiple of num_attention_heads {heads}");
        var positions = configuration.Count("max_position_embeddings", 2048);
        return new GptNeoXSettings
        {
            Vocabulary = configuration.Count("vocab_size", 50432),
            Hidden = hidden,
            Layers = configuration.Count("num_hidden_layers", 44),
            HeadSize = hidden / heads,
            Inner = configuration.Count("intermediate_size", 24576),
            Activation = HuggingFace.Layers.Activation.Read(configuration, "hidden_act", "gelu"),
            NormEpsilon = configuration.Number("layer_norm_eps", 1e-5),
            AttentionDropout = configuration.Dropout("attention_dropout", 0),
            HiddenDropout = configuration.Dropout("hidden_dropout", 0),
            IsParallel = configuration.Flag("use_parallel_residual", true),
            HasAttentionBias = configuration.Flag("attention_bias", true),
            Rotary = RotarySettings.Read(
                configuration, hidden / heads, positions, configuration.Number("rotary_emb_base", 10_000), configuration.Number("rotary_pct", 0.25)),
            IsTied = configuration.Flag("tie_word_embeddings", false),
        };
    }
}
