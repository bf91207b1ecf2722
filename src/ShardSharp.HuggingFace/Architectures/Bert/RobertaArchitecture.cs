using ShardSharp.HuggingFace.Configuration;
using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Bert;

/// <summary>RoBERTa (https://arxiv.org/abs/1907.11692) for masked tokens: BERT with other names, whose positions count from the padding's.</summary>
internal sealed class RobertaArchitecture : EncoderArchitecture
{
    private const string DecoderBias = "lm_head.decoder.bias";
    private const string HeadBias = "lm_head.bias";

    public override string ModelType => "roberta";

    public override string ClassName => "RobertaForMaskedLM";

    public override string Prefix => "roberta.";

    public override IReadOnlyDictionary<string, string> Tied { get; } = new Dictionary<string, string>
    {
        ["lm_head.decoder.weight"] = "roberta.embeddings.word_embeddings.weight", [DecoderBias] = HeadBias,
    };

    public override IReadOnlyList<string> ForeignTensors => ["roberta.pooler."];

    public override IReadOnlyList<string> StoredNames(string parameter) =>
        parameter == DecoderBias ? [HeadBias, DecoderBias] : base.StoredNames(parameter);

    protected override string HeadPattern => "lm_head.*";

    protected override EncoderSettings ReadSettings(ConfigurationReader configuration)
    {
        var settings = EncoderSettings.Read(configuration, vocabulary: 50265, padding: 1);
        return settings.Padding is >= 0
            ? settings with { CountsPositionsBehindPadding = true }
            : throw configuration.Unsupported("pad_token_id", settings.Padding?.ToString() ?? "null", "a token");
    }

    protected override nn.Module<Tensor, Tensor> CreateHead(Linear decoder, EncoderSettings settings, ModuleFactory factory) =>
        new RobertaHead(decoder, settings, factory);

    protected override (string Name, nn.Module Module) ChildOf(nn.Module<Tensor, Tensor> head) => ("lm_head", head);
}
