using ShardSharp.HuggingFace.Configuration;
using ShardSharp.HuggingFace.Layers;
using ShardSharp.TensorParallel;
using TorchSharp.Modules;
using static ShardSharp.TensorParallel.TensorParallelStyle;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.GptNeoX;

/// <summary>GPT-NeoX and Pythia (https://arxiv.org/abs/2204.06745): a part of each head is turned by its position.</summary>
internal sealed class GptNeoXArchitecture : Architecture
{
    public override string ModelType => "gpt_neox";

    public override string ClassName => "GPTNeoXForCausalLM";

    public override string Prefix => "gpt_neox.";

    public override IReadOnlyDictionary<string, string> Tied { get; } =
        new Dictionary<string, string> { ["embed_out.weight"] = "gpt_neox.embed_in.weight" };

    public override IReadOnlyList<string> ComputedTensors =>
        [".attention.bias", ".attention.masked_bias", ".attention.rotary_emb.inv_freq"];

    public override ModelTree Build(ConfigurationReader configuration, ModuleFactory factory)
    {
        var settings = GptNeoXSettings.Read(configuration);
        var rotary = new RotaryEmbedding(settings.Rotary);
        var tokens = factory.Embedding(settings.Vocabulary, settings.Hidden);
        var dropout = nn.Dropout(settings.HiddenDropout);
        var layers = Enumerable.Range(0, settings.Layers).Select(_ => new GptNeoXLayer(settings, rotary, factory)).ToArray();
        var norm = factory.LayerNorm(settings.Hidden, settings.NormEpsilon);
        var head = factory.Linear(settings.Hidden, settings.Vocabulary, bias: false);
        if (settings.IsTied)
            Tie(head, tokens);
        return new ModelTree(
            [tokens, dropout, .. layers, norm, head],
            [
                ("gpt_neox", new ModuleGroup(
                    ("embed_in", tokens), ("emb_dropout", dropout), ("layers", new ModuleList<GptNeoXLayer>(layers)), ("final_layer_norm", norm))),
                ("embed_out", head),
            ])
        {
            Owned = [rotary],
            Styles = Styles(settings),
        };
    }

    private static Dictionary<string, TensorParallelStyle> Styles(GptNeoXSettings settings) => new()
    {
        ["gpt_neox.embed_in"] = VocabularyEmbedding(),
        ["gpt_neox.emb_dropout"] = SequenceParallel(),
        ["gpt_neox.layers.*.attention.attention_dropout"] = SharedParameters(),
        ["gpt_neox.layers.*.post_*_dropout"] = SequenceParallel(),
        ["gpt_neox.layers.*.*_layernorm"] = SequenceParallel(),

        // Query, key and value of a head lie side by side.
        ["gpt_neox.layers.*.attention.query_key_value"] = Column(headSize: 3 * settings.HeadSize),
        ["gpt_neox.layers.*.attention.dense"] = Row(settings.HeadSize),
        ["gpt_neox.layers.*.mlp.dense_h_to_4h"] = Column(),
        ["gpt_neox.layers.*.mlp.dense_4h_to_h"] = Row(),
        ["gpt_neox.final_layer_norm"] = SequenceParallel(),
        ["embed_out"] = Column(gatherOutput: true),
    };
}
