using ShardSharp.TensorParallel.Layers;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel.Layers;

/// <summary>A language model on one rank, by its equations.</summary>
internal sealed class PlainLanguageModel : nn.Module<Tensor, Tensor?, Tensor?, Tensor?, Tensor?, Tensor?, Tensor>
{
    private readonly PlainEmbedding _words;
    private readonly PlainEmbedding? _positions, _types;
    private readonly PlainTransformer _transformer;
    private readonly LayerNorm? _norm;
    private readonly bool _hasHead;

    public PlainLanguageModel(DistributedLanguageModelOptions options)
        : base(nameof(PlainLanguageModel))
    {
        _hasHead = options.AddLanguageModelHead;
        _words = Plain.Embedding(options.VocabularySize, options);
        _positions = options.NumPositions > 0 ? Plain.Embedding(options.NumPositions, options) : null;
        _types = options.NumTokenTypes > 0 ? Plain.Embedding(options.NumTokenTypes, options) : null;
        _transformer = new PlainTransformer(options);
        _norm = options is { PreLayerNorm: true, PostLayerNorm: false } ? nn.LayerNorm(options.HiddenSize, options.LayerNormEpsilon) : null;
        foreach (var (name, module) in new (string, nn.Module?)[]
        {
            ("word_embedding", _words), ("position_embedding", _positions), ("token_type_embedding", _types), ("transformer", _transformer), ("layernorm", _norm),
        })
        {
            if (module is not null)
                register_module(name, module);
        }
    }

    public override Tensor forward(Tensor tokens, Tensor? mask, Tensor? types, Tensor? positions, Tensor? cross, Tensor? crossMask)
    {
        var stream = _words.call(tokens);
        if (_positions is not null)
            stream += _positions.call(positions ?? arange(tokens.shape[1], ScalarType.Int64));
        if (_types is not null)
            stream += _types.call(types ?? zeros_like(tokens));
        stream = _transformer.call(stream, Added(mask), cross, Added(crossMask));
        if (_norm is not null)
            stream = _norm.call(stream);
        return _hasHead ? nn.functional.linear(stream, _words.Weight) : stream;
    }

    private static Tensor? Added(Tensor? mask) => mask?.to_type(ScalarType.Float32).unsqueeze(1).unsqueeze(1).mul(-10000);
}
