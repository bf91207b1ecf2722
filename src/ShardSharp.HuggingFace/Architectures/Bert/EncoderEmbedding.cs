using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Bert;

/// <summary>The embedding of a token, of its position and of its type, which is the first for all tokens, added and normalised.</summary>
internal sealed class EncoderEmbedding : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "word_embeddings")]
    private readonly Embedding _words;

    [ComponentName(Name = "position_embeddings")]
    private readonly Embedding _positions;

    [ComponentName(Name = "token_type_embeddings")]
    private readonly Embedding _types;

    [ComponentName(Name = "LayerNorm")]
    private readonly LayerNorm _norm;

    [ComponentName(Name = "dropout")]
    private readonly Dropout _dropout;

    private readonly int _longest;
    private readonly int? _padding;

    public EncoderEmbedding(EncoderSettings settings, ModuleFactory factory)
        : base(nameof(EncoderEmbedding))
    {
        _padding = settings.CountsPositionsBehindPadding ? settings.Padding : null;
        _longest = settings.Positions - (_padding + 1 ?? 0);
        _words = factory.Embedding(settings.Vocabulary, settings.Hidden, settings.Padding);
        _positions = factory.Embedding(settings.Positions, settings.Hidden, _padding);
        _types = factory.Embedding(settings.TokenTypes, settings.Hidden);
        _norm = factory.LayerNorm(settings.Hidden, settings.NormEpsilon);
        _dropout = nn.Dropout(settings.HiddenDropout);
        RegisterComponents();
    }

    /// <summary>The vectors of the vocabulary.</summary>
    public Embedding Words => _words;

    public override Tensor forward(Tensor input)
    {
        if (input.shape[1] > _longest)
        {
            throw new ArgumentException(
                $"A sequence of {input.shape[1]} tokens is longer than the {_longest} positions of the model.", nameof(input));
        }

        using var scope = NewDisposeScope();
        var sum = _words.call(input) + _types.call(zeros_like(input)) + _positions.call(Places(input));
        return _dropout.call(_norm.call(sum)).MoveToOuterDisposeScope();
    }

    private Tensor Places(Tensor input)
    {
        if (_padding is not { } padding)
            return arange(input.shape[1], dtype: ScalarType.Int64, device: input.device);
        var offset = tensor((long)padding, device: input.device);
        var counts = input.ne(offset).to_type(ScalarType.Int64);
        return (counts.cumsum(1) * counts) + offset;
    }
}
