using ShardSharp.HuggingFace.Configuration;
using ShardSharp.HuggingFace.Layers;
using ShardSharp.TensorParallel;
using TorchSharp.Modules;
using static ShardSharp.TensorParallel.TensorParallelStyle;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Gpt2;

/// <summary>GPT-2 (Radford et al. 2019): learned positions, norms before each part, one projection for queries, keys and values.</summary>
internal sealed class Gpt2Architecture : Architecture
{
    public override string ModelType => "gpt2";

    public override string ClassName => "GPT2LMHeadModel";

    public override string Prefix => "transformer.";

    public override IReadOnlyDictionary<string, string> Tied { get; } =
        new Dictionary<string, string> { ["lm_head.weight"] = "transformer.wte.weight" };

    /// <summary>The triangles of the causal mask.</summary>
    public override IReadOnlyList<string> ComputedTensors => [".attn.bias", ".attn.masked_bias"];

    /// <summary>Files hold the matrices of a block as [inputs, outputs].</summary>
    public override bool IsTransposed(string parameter) =>
        parameter.Contains(".h.", StringComparison.Ordinal) && parameter.EndsWith(".weight", StringComparison.Ordinal)
        && (parameter.Contains(".attn.", StringComparison.Ordinal) || parameter.Contains(".mlp.", StringComparison.Ordinal));

    public override ModelTree Build(ConfigurationReader configuration, ModuleFactory factory)
    {
        var settings = Gpt2Settings.Read(configuration);
        var tokens = factory.Embedding(settings.Vocabulary, settings.Hidden);
        var positions = factory.Embedding(settings.Positions, settings.Hidden);
        var dropout = nn.Dropout(settings.EmbeddingDropout);
        var blocks = Enumerable.Range(0, settings.Layers).Select(layer => new Gpt2Block(settings, layer, factory)).ToArray();
        var norm = factory.LayerNorm(settings.Hidden, settings.NormEpsilon);
        var head = factory.Linear(settings.Hidden, settings.Vocabulary, bias: false);
        if (settings.IsTied)
            Tie(head, tokens);
        return new ModelTree(
            [new PositionedEmbedding(tokens, positions, settings.Positions, dropout), .. blocks, norm, head],
            [
                ("transformer", new ModuleGroup(
                    ("wte", tokens), ("wpe", positions), ("drop", dropout), ("h", new ModuleList<Gpt2Block>(blocks)), ("ln_f", norm))),
                ("lm_head", head),
            ])
        {
            Styles = Styles(settings),
        };
    }

    private static Dictionary<string, TensorParallelStyle> Styles(Gpt2Settings settings)
    {
        long size = settings.Hidden / settings.Heads;
        return new()
        {
            ["transformer.wte"] = VocabularyEmbedding(),
            ["transformer.wpe"] = SequenceScatter(),
            ["transformer.drop"] = SequenceParallel(),
            ["transformer.h.*.attn.attn_dropout"] = SharedParameters(),
            ["transformer.h.*.attn.resid_dropout"] = SequenceParallel(),
            ["transformer.h.*.mlp.dropout"] = SequenceParallel(),
            ["transformer.h.*.ln_*"] = SequenceParallel(),
            ["transformer.h.*.attn.c_attn"] = FusedColumn(size, settings.Hidden, settings.Hidden, settings.Hidden),
            ["transformer.h.*.attn.c_proj"] = Row(size),
            ["transformer.h.*.mlp.c_fc"] = Column(),
            ["transformer.h.*.mlp.c_proj"] = Row(),
            ["transformer.ln_f"] = SequenceParallel(),
            ["lm_head"] = Column(gatherOutput: true),
        };
    }
}
