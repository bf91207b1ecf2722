using ShardSharp.HuggingFace.Configuration;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Gpt2;

/// <summary>What a GPT-2's <c>config.json</c> says, with the defaults that transformers has.</summary>
internal sealed record Gpt2Settings
{
    public required int Vocabulary { get; init; }

    public required int Positions { get; init; }

    public required int Hidden { get; init; }

    public required int Layers { get; init; }

    public required int Heads { get; init; }

    /// <summary>The width of the feed-forward network.</summary>
    public required int Inner { get; init; }

    public required Func<Tensor, Tensor> Activation { get; init; }

    public required double NormEpsilon { get; init; }

    public required double EmbeddingDropout { get; init; }

    public required double AttentionDropout { get; init; }

    /// <summary>The dropout of what is added to the residual stream.</summary>
    public required double ResidualDropout { get; init; }

    /// <summary>Whether the products of queries and keys are divided by the root of the size of a head.</summary>
    public required bool ScalesBySize { get; init; }

    /// <summary>Whether they are divided by the number of the layer, from 1.</summary>
    public required bool ScalesByLayer { get; init; }

    /// <summary>Whether the head is the embedding.</summary>
    public required bool IsTied { get; init; }

    public static Gpt2Settings Read(ConfigurationReader configuration)
    {
        configuration.Require("add_cross_attention", false);

        // It changes the order of rounding in float16 alone, and only where transformers is told to compute attention step by step.
        configuration.Ignore("reorder_and_upcast_attn");
        configuration.Ignore("n_ctx", "summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj");
        var hidden = configuration.Count("n_embd", 768);
        var settings = new Gpt2Settings
        {
            Vocabulary = configuration.Count("vocab_size", 50257),
            Positions = configuration.Count("n_positions", 1024),
            Hidden = hidden,
            Layers = configuration.Count("n_layer", 12),
            Heads = configuration.Count("n_head", 12),
            Inner = configuration.Count("n_inner", 4 * hidden),
            Activation = HuggingFace.Layers.Activation.Read(configuration, "activation_function", "gelu_new"),
            NormEpsilon = configuration.Number("layer_norm_epsilon", 1e-5),
            EmbeddingDropout = configuration.Dropout("embd_pdrop", 0.1),
            AttentionDropout = configuration.Dropout("attn_pdrop", 0.1),
            ResidualDropout = configuration.Dropout("resid_pdrop", 0.1),
            ScalesBySize = configuration.Flag("scale_attn_weights", true),
            ScalesByLayer = configuration.Flag("scale_attn_by_inverse_layer_idx", false),
            IsTied = configuration.Flag("tie_word_embeddings", true),
        };
        return settings.Hidden % settings.Heads == 0
            ? settings
            : throw configuration.Inconsistent($"n_embd {settings.Hidden} is not a multiple of n_head {settings.Heads}");
    }
}
