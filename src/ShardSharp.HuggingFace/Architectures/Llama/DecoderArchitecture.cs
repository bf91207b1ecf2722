using ShardSharp.HuggingFace.Configuration;
using ShardSharp.HuggingFace.Layers;
using ShardSharp.TensorParallel;
using TorchSharp.Modules;
using static ShardSharp.TensorParallel.TensorParallelStyle;

namespace ShardSharp.HuggingFace.Architectures.Llama;

/// <summary>What Llama and its relatives have in common: the order of their parts and the names of their parameters.</summary>
internal abstract class DecoderArchitecture : Architecture
{
    public override string Prefix => "model.";

    public override IReadOnlyDictionary<string, string> Tied { get; } =
        new Dictionary<string, string> { ["lm_head.weight"] = "model.embed_tokens.weight" };

    public override ModelTree Build(ConfigurationReader configuration, ModuleFactory factory)
    {
        var settings = ReadSettings(configuration);
        var rotary = new RotaryEmbedding(settings.Rotary);
        var tokens = factory.Embedding(settings.Vocabulary, settings.Hidden, settings.Padding);
        var layers = Enumerable.Range(0, settings.Layers).Select(layer => new DecoderLayer(settings, layer, rotary, factory)).ToArray();
        var norm = factory.RootMeanSquareNorm(settings.Hidden, settings.NormEpsilon);
        var head = factory.Linear(settings.Hidden, settings.Vocabulary, bias: false);
        if (settings.IsTied)
            Tie(head, tokens);
        return new ModelTree(
            [tokens, .. layers, norm, head],
            [
                ("model", new ModuleGroup(("embed_tokens", tokens), ("layers", new ModuleList<DecoderLayer>(layers)), ("norm", norm))),
                ("lm_head", head),
            ])
        {
            Owned = [rotary],
            Styles = Styles(settings),
        };
    }

    private static Dictionary<string, TensorParallelStyle> Styles(DecoderSettings settings)
    {
        var styles = new Dictionary<string, TensorParallelStyle>
        {
            ["model.embed_tokens"] = VocabularyEmbedding(),
            ["model.layers.*.*_layernorm"] = SequenceParallel(),
            ["model.layers.*.self_attn.q_proj"] = Column(headSize: settings.HeadSize),
            ["model.layers.*.self_attn.k_proj"] = Column(headSize: settings.HeadSize, copyHeads: true),
            ["model.layers.*.self_attn.v_proj"] = Column(headSize: settings.HeadSize, copyHeads: true),
            ["model.layers.*.self_attn.attention_dropout"] = SharedParameters(),
            ["model.layers.*.self_attn.o_proj"] = Row(settings.HeadSize),
            ["model.norm"] = SequenceParallel(),
            ["lm_head"] = Column(gatherOutput: true),
        };

        // A norm of heads sees those of one rank.
        if (settings.HasQueryKeyNorm)
            styles["model.layers.*.self_attn.*_norm"] = SharedParameters();
        foreach (var (pattern, style) in settings.FeedForwardStyles)
            styles[$"model.layers.*.mlp.{pattern}"] = style;
        return styles;
    }

    /// <summary>Reads the configuration of this relative.</summary>
    protected abstract DecoderSettings ReadSettings(ConfigurationReader configuration);
}
