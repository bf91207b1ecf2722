using ShardSharp.TensorParallel;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel;

/// <summary>A model as a user writes it, and what its code may do that cannot be divided.</summary>
internal sealed record TinyShape
{
    public int Hidden { get; init; } = 16;

    public int Heads { get; init; } = 4;

    public int Inner { get; init; } = 24;

    /// <summary>Whether queries, keys and values are one layer.</summary>
    public bool Fused { get; init; }

    /// <summary>Whether views name the number of heads rather than the size of one.</summary>
    public bool AssumesHeads { get; init; }

    /// <summary>Whether the feed-forward network divides by a norm of its inner features.</summary>
    public bool NormalisesInner { get; init; }

    /// <summary>Whether the feed-forward network multiplies its inner features by a number of its own, a raw parameter of the block.</summary>
    public bool ScalesInner { get; init; }

    /// <summary>Whether a layer that is not divided gates the inner features.</summary>
    public bool Gates { get; init; }

    /// <summary>Whether each position has the mean of all taken off between the blocks.</summary>
    public bool MixesPositions { get; init; }

    /// <summary>Where dropout by function is: in attention, in the feed-forward network, or of its result.</summary>
    public string? Drops { get; init; }
}

/// <summary>Attention, whose layers are one or three.</summary>
internal sealed class TinyAttention : nn.Module<Tensor, Tensor>
{
    private readonly Linear? _fused;
    private readonly Linear? _query;
    private readonly Linear? _key;
    private readonly Linear? _value;
    private readonly Linear _output;
    private readonly TinyShape _shape;

    public TinyAttention(TinyShape shape)
        : base(nameof(TinyAttention))
    {
        _shape = shape;
        if (shape.Fused)
            _fused = nn.Linear(shape.Hidden, 3 * shape.Hidden);
        else
            (_query, _key, _value) = (nn.Linear(shape.Hidden, shape.Hidden), nn.Linear(shape.Hidden, shape.Hidden), nn.Linear(shape.Hidden, shape.Hidden));
        _output = nn.Linear(shape.Hidden, shape.Hidden);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        var parts = _fused is not null ? _fused.call(input).chunk(3, 2) : [_query!.call(input), _key!.call(input), _value!.call(input)];
        var heads = parts.Select(Split).ToArray();
        var mixed = nn.functional.scaled_dot_product_attention(heads[0], heads[1], heads[2], p: training && _shape.Drops == "attention" ? 0.5 : 0, is_casual: true);
        return _output.call(mixed.transpose(1, 2).flatten(2));
    }

    private Tensor Split(Tensor part) => (_shape.AssumesHeads
        ? part.reshape(part.shape[0], part.shape[1], _shape.Heads, -1)
        : part.reshape(part.shape[0], part.shape[1], -1, _shape.Hidden / _shape.Heads)).transpose(1, 2);
}

/// <summary>A block with its feed-forward network in itself.</summary>
internal sealed class TinyBlock : nn.Module<Tensor, Tensor>
{
    private readonly LayerNorm _first;
    private readonly TinyAttention _attention;
    private readonly LayerNorm _second;
    private readonly Linear _up;
    private readonly Linear _down;
    private readonly bool _normalises;
    private readonly string? _drops;
    private readonly Parameter? _scale;
    private readonly Linear? _gate;
    private readonly bool _mixes;

    public TinyBlock(TinyShape shape)
        : base(nameof(TinyBlock))
    {
        (_first, _second, _attention) = (nn.LayerNorm(shape.Hidden), nn.LayerNorm(shape.Hidden), new TinyAttention(shape));
        (_up, _down, _normalises, _drops) = (nn.Linear(shape.Hidden, shape.Inner), nn.Linear(shape.Inner, shape.Hidden), shape.NormalisesInner, shape.Drops);
        (_scale, _gate, _mixes) = (shape.ScalesInner ? new Parameter(ones(1)) : null, shape.Gates ? nn.Linear(shape.Hidden, 1) : null, shape.MixesPositions);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        var hidden = input + _attention.call(_first.call(input));
        if (_mixes)
            hidden = hidden - hidden.mean([1], keepdim: true);
        var normed = _second.call(hidden);
        var wide = nn.functional.gelu(_up.call(normed));
        if (_scale is not null)
            wide = wide * _scale;
        if (_gate is not null)
            wide = wide * _gate.call(normed).sigmoid();
        if (_normalises)
            wide = wide / wide.square().sum([-1], keepdim: true).sqrt();
        if (_drops == "inner")
            wide = nn.functional.dropout(wide, 0.5, training);
        var narrow = _down.call(wide);
        return hidden + (_drops == "result" ? nn.functional.dropout(narrow, 0.5, training) : narrow);
    }
}

/// <summary>Blocks between an embedding and a head.</summary>
internal sealed class TinyModel : nn.Module<Tensor, Tensor>
{
    public const int Vocabulary = 37;
    public const int Layers = 2;

    private readonly Embedding _tokens;
    private readonly ModuleList<TinyBlock> _blocks;
    private readonly LayerNorm _norm;
    private readonly Linear _head;

    public TinyModel(TinyShape shape)
        : base(nameof(TinyModel))
    {
        _tokens = nn.Embedding(Vocabulary, shape.Hidden);
        _blocks = new ModuleList<TinyBlock>([.. Enumerable.Range(0, Layers).Select(_ => new TinyBlock(shape))]);
        _norm = nn.LayerNorm(shape.Hidden);
        _head = nn.Linear(shape.Hidden, Vocabulary, hasBias: false);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        var hidden = _tokens.call(input);
        foreach (var block in _blocks)
            hidden = block.call(hidden);
        return _head.call(_norm.call(hidden));
    }

    /// <summary>The plan that someone writes who assumes that the code can be divided.</summary>
    public static TensorParallelPlan Plan(TinyShape shape)
    {
        long size = shape.Hidden / shape.Heads;
        return new TensorParallelPlan(new Dictionary<string, TensorParallelStyle>
        {
            ["_tokens"] = TensorParallelStyle.VocabularyEmbedding(),
            ["_blocks.*._attention._output"] = TensorParallelStyle.Row(size),
            ["_blocks.*._attention.*"] = shape.Fused
                ? TensorParallelStyle.FusedColumn(size, shape.Hidden, shape.Hidden, shape.Hidden)
                : TensorParallelStyle.Column(headSize: size),
            ["_blocks.*._up"] = TensorParallelStyle.Column(),
            ["_blocks.*._down"] = TensorParallelStyle.Row(),
            ["_blocks.*._first"] = TensorParallelStyle.SequenceParallel(),
            ["_blocks.*._second"] = TensorParallelStyle.SequenceParallel(),
            ["_norm"] = TensorParallelStyle.SequenceParallel(),
            ["_head"] = TensorParallelStyle.Column(gatherOutput: true),
        });
    }
}
