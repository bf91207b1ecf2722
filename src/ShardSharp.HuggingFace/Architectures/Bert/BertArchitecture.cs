using ShardSharp.HuggingFace.Configuration;
using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Bert;

/// <summary>BERT (https://arxiv.org/abs/1810.04805) for masked tokens.</summary>
internal sealed class BertArchitecture : EncoderArchitecture
{
    private const string DecoderBias = "cls.predictions.decoder.bias";
    private const string HeadBias = "cls.predictions.bias";

    public override string ModelType => "bert";

    public override string ClassName => "BertForMaskedLM";

    public override string Prefix => "bert.";

    public override IReadOnlyDictionary<string, string> Tied { get; } = new Dictionary<string, string>
    {
        ["cls.predictions.decoder.weight"] = "bert.embeddings.word_embeddings.weight", [DecoderBias] = HeadBias,
    };

    /// <summary>Pretraining also asked whether one sentence follows another.</summary>
    public override IReadOnlyList<string> ForeignTensors => ["bert.pooler.", "cls.seq_relationship."];

    public override IReadOnlyList<string> StoredNames(string parameter) =>
        parameter == DecoderBias ? [HeadBias, DecoderBias] : base.StoredNames(parameter);

    protected override string HeadPattern => "cls.predictions.transform.*";

    protected override EncoderSettings ReadSettings(ConfigurationReader configuration) =>
        EncoderSettings.Read(configuration, vocabulary: 30522, padding: 0);

    protected override nn.Module<Tensor, Tensor> CreateHead(Linear decoder, EncoderSettings settings, ModuleFactory factory) =>
        new BertHead(decoder, settings, factory);

    protected override (string Name, nn.Module Module) ChildOf(nn.Module<Tensor, Tensor> head) => ("cls", new ModuleGroup(("predictions", head)));
}
