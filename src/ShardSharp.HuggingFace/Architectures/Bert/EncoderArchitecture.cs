using ShardSharp.HuggingFace.Configuration;
using ShardSharp.HuggingFace.Layers;
using ShardSharp.TensorParallel;
using TorchSharp.Modules;
using static ShardSharp.TensorParallel.TensorParallelStyle;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Bert;

/// <summary>What BERT and RoBERTa have in common: they see the whole sequence, with norms behind each part, and predict hidden tokens.</summary>
internal abstract class EncoderArchitecture : Architecture
{
    public override ModelTask Task => ModelTask.MaskedLanguageModel;

    public override IReadOnlyList<string> ComputedTensors => [".position_ids"];

    /// <summary>Older files say gamma and beta for what a norm multiplies by and adds.</summary>
    public override IReadOnlyList<string> StoredNames(string parameter)
    {
        const string Weight = "LayerNorm.weight", Bias = "LayerNorm.bias";
        return parameter.EndsWith(Weight, StringComparison.Ordinal) ? [parameter, parameter[..^"weight".Length] + "gamma"]
            : parameter.EndsWith(Bias, StringComparison.Ordinal) ? [parameter, parameter[..^"bias".Length] + "beta"]
            : [parameter];
    }

    public override ModelTree Build(ConfigurationReader configuration, ModuleFactory factory)
    {
        var settings = ReadSettings(configuration);
        var embedding = new EncoderEmbedding(settings, factory);
        var layers = Enumerable.Range(0, settings.Layers).Select(_ => new EncoderLayer(settings, factory)).ToArray();
        var decoder = factory.Linear(settings.Hidden, settings.Vocabulary, bias: true);
        Tie(decoder, embedding.Words);
        var head = CreateHead(decoder, settings, factory);
        var encoder = new ModuleGroup(("layer", new ModuleList<EncoderLayer>(layers)));
        return new ModelTree(
            [embedding, .. layers, head],
            [(Prefix[..^1], new ModuleGroup(("embeddings", embedding), ("encoder", encoder))), ChildOf(head)])
        {
            Styles = Styles(settings),
        };
    }

    private Dictionary<string, TensorParallelStyle> Styles(EncoderSettings settings) => new()
    {
        [$"{Prefix}embeddings.word_embeddings"] = VocabularyEmbedding(),
        [$"{Prefix}embeddings.*_embeddings"] = SequenceScatter(),
        [$"{Prefix}embeddings.LayerNorm"] = SequenceParallel(),
        [$"{Prefix}embeddings.dropout"] = SequenceParallel(),
        [$"{Prefix}encoder.layer.*.attention.self.dropout"] = SharedParameters(),
        [$"{Prefix}encoder.layer.**output.dropout"] = SequenceParallel(),
        [$"{Prefix}encoder.layer.*.attention.self.*"] = Column(headSize: settings.HeadSize),
        [$"{Prefix}encoder.layer.*.attention.output.dense"] = Row(settings.HeadSize),
        [$"{Prefix}encoder.layer.*.intermediate.dense"] = Column(),
        [$"{Prefix}encoder.layer.*.output.dense"] = Row(),
        [$"{Prefix}encoder.layer.**LayerNorm"] = SequenceParallel(),
        ["**.decoder"] = Column(gatherOutput: true),
        [HeadPattern] = SequenceParallel(),
    };

    /// <summary>A pattern for the names of the modules of the head that treat positions alone.</summary>
    protected abstract string HeadPattern { get; }

    /// <summary>Reads the configuration.</summary>
    protected abstract EncoderSettings ReadSettings(ConfigurationReader configuration);

    /// <summary>Makes the head around the projection to the vocabulary.</summary>
    protected abstract nn.Module<Tensor, Tensor> CreateHead(Linear decoder, EncoderSettings settings, ModuleFactory factory);

    /// <summary>The child of the model that is the head, or that the head is in.</summary>
    protected abstract (string Name, nn.Module Module) ChildOf(nn.Module<Tensor, Tensor> head);
}
