using ShardSharp.HuggingFace.Configuration;
using ShardSharp.HuggingFace.Layers;
using ShardSharp.TensorParallel;
using TorchSharp.Modules;
using static ShardSharp.TensorParallel.TensorParallelStyle;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.GptJ;

/// <summary>GPT-J (Wang and Komatsuzaki 2021): attention and feed-forward network side by side, pairs of neighbouring dimensions turned.</summary>
internal sealed class GptJArchitecture : Architecture
{
    public override string ModelType => "gptj";

    public override string ClassName => "GPTJForCausalLM";

    public override string Prefix => "transformer.";

    public override IReadOnlyDictionary<string, string> Tied { get; } =
        new Dictionary<string, string> { ["lm_head.weight"] = "transformer.wte.weight" };

    public override IReadOnlyList<string> ComputedTensors => [".attn.bias", ".attn.masked_bias", ".attn.embed_positions"];

    public override ModelTree Build(ConfigurationReader configuration, ModuleFactory factory)
    {
        var settings = GptJSettings.Read(configuration);
        var rotary = new RotaryEmbedding(settings.Rotary, interleaved: true);
        var tokens = factory.Embedding(settings.Vocabulary, settings.Hidden);
        var dropout = nn.Dropout(settings.EmbeddingDropout);
        var blocks = Enumerable.Range(0, settings.Layers).Select(_ => new GptJBlock(settings, rotary, factory)).ToArray();
        var norm = factory.LayerNorm(settings.Hidden, settings.NormEpsilon);
        var head = factory.Linear(settings.Hidden, settings.Vocabulary, bias: true);
        if (settings.IsTied)
            Tie(head, tokens);
        return new ModelTree(
            [tokens, dropout, .. blocks, norm, head],
            [
                ("transformer", new ModuleGroup(("wte", tokens), ("drop", dropout), ("h", new ModuleList<GptJBlock>(blocks)), ("ln_f", norm))),
                ("lm_head", head),
            ])
        {
            Owned = [rotary],
            Styles = Styles(settings),
        };
    }

    private static Dictionary<string, TensorParallelStyle> Styles(GptJSettings settings) => new()
    {
        ["transformer.wte"] = VocabularyEmbedding(),
        ["transformer.drop"] = SequenceParallel(),
        ["transformer.h.*.attn.attn_dropout"] = SharedParameters(),
        ["transformer.h.*.attn.resid_dropout"] = SequenceParallel(),
        ["transformer.h.*.mlp.dropout"] = SequenceParallel(),
        ["transformer.h.*.ln_1"] = SequenceParallel(),
        ["transformer.h.*.attn.out_proj"] = Row(settings.HeadSize),
        ["transformer.h.*.attn.*_proj"] = Column(headSize: settings.HeadSize),
        ["transformer.h.*.mlp.fc_in"] = Column(),
        ["transformer.h.*.mlp.fc_out"] = Row(),
        ["transformer.ln_f"] = SequenceParallel(),
        ["lm_head"] = Column(gatherOutput: true),
    };
}
