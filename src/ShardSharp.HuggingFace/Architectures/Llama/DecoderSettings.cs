using ShardSharp.HuggingFace.Configuration;
using ShardSharp.HuggingFace.Layers;
using ShardSharp.TensorParallel;
using static ShardSharp.TensorParallel.TensorParallelStyle;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Llama;

/// <summary>The shape of a decoder of Llama's kind, and in what its relatives differ.</summary>
internal sealed record DecoderSettings
{
    public required int Vocabulary { get; init; }

    public required int Hidden { get; init; }

    public required int Layers { get; init; }

    public required int Heads { get; init; }

    /// <summary>Heads of keys and values, each of which serves equally many heads of queries (https://arxiv.org/abs/2305.13245).</summary>
    public required int KeyHeads { get; init; }

    public required int HeadSize { get; init; }

    /// <summary>The width of the feed-forward network.</summary>
    public required int Inner { get; init; }

    public required Func<Tensor, Tensor> Activation { get; init; }

    public required double NormEpsilon { get; init; }

    public required double AttentionDropout { get; init; }

    public required RotarySettings Rotary { get; init; }

    /// <summary>The token whose embedding gets no gradient; none if null.</summary>
    public required int? Padding { get; init; }

    /// <summary>Whether the head is the embedding.</summary>
    public required bool IsTied { get; init; }

    /// <summary>Whether the projections to queries, keys and values have a bias.</summary>
    public bool HasInputBias { get; init; }

    /// <summary>Whether the projection behind attention has a bias.</summary>
    public bool HasOutputBias { get; init; }

    /// <summary>Whether the feed-forward network has biases.</summary>
    public bool HasFeedForwardBias { get; init; }

    /// <summary>Whether queries and keys are normalised, head by head, before they are turned.</summary>
    public bool HasQueryKeyNorm { get; init; }

    /// <summary>How many positions, its own included, each position of a layer sees; all earlier ones if null.</summary>
    public Func<int, int?> Window { get; init; } = _ => null;

    /// <summary>Makes the feed-forward network of a layer.</summary>
    public Func<DecoderSettings, ModuleFactory, nn.Module<Tensor, Tensor>> CreateFeedForward { get; init; } =
        (settings, factory) => new GatedFeedForward(settings, factory);

    /// <summary>How the modules of a feed-forward network are spread over tensor-parallel ranks, by patterns for their names in it.</summary>
    public IReadOnlyDictionary<string, TensorParallelStyle> FeedForwardStyles { get; init; } = new Dictionary<string, TensorParallelStyle>
    {
        ["gate_proj"] = Column(), ["up_proj"] = Column(), ["down_proj"] = Row(),
    };

    /// <summary>Reads what the configurations of all of Llama's relatives have in common.</summary>
    /// <param name="configuration">The configuration.</param>
    /// <param name="defaults">The values of transformers for keys that are absent.</param>
    public static DecoderSettings Read(ConfigurationReader configuration, DecoderDefaults defaults)
    {
        var hidden = configuration.Count("hidden_size", 4096);
        var heads = configuration.Count("num_attention_heads", 32);
        var keyHeads = configuration.CountOrNone("num_key_value_heads", defaults.KeyHeads) ?? heads;
        var headSize = configuration.CountOrNone("head_dim", defaults.HeadSize) ?? hidden / heads;
        if (heads % keyHeads != 0)
            throw configuration.Inconsistent($"num_attention_heads {heads} is not a multiple of num_key_value_heads {keyHeads}");
        var positions = configuration.Count("max_position_embeddings", defaults.Positions);
        return new DecoderSettings
        {
            Vocabulary = configuration.Count("vocab_size", defaults.Vocabulary),
            Hidden = hidden,
            Layers = configuration.Count("num_hidden_layers", 32),
            Heads = heads,
            KeyHeads = keyHeads,
            HeadSize = headSize,
            Inner = configuration.Count("intermediate_size", defaults.Inner),
            Activation = HuggingFace.Layers.Activation.Read(configuration, "hidden_act", "silu"),
            NormEpsilon = configuration.Number("rms_norm_eps", defaults.NormEpsilon),
            AttentionDropout = configuration.Dropout("attention_dropout", 0),
            Rotary = RotarySettings.Read(configuration, headSize, positions, defaults.Theta),
            Padding = configuration.Integer("pad_token_id"),
            IsTied = configuration.Flag("tie_word_embeddings", false),
        };
    }
}
