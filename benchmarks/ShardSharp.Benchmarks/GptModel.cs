using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace ShardSharp.Benchmarks;

/// <summary>
/// The benchmark model, as anyone would write it in TorchSharp: pre-norm GPT with learned positions, tanh GELU and an untied head.
/// It must not know about ShardSharp, nor save memory by hand: it stands for a user's model.
/// </summary>
internal sealed class GptModel : Module<Tensor, Tensor>
{
    private readonly Embedding _tokenEmbedding;
    private readonly Embedding _positionEmbedding;
    private readonly ModuleList<Block> _blocks;
    private readonly LayerNorm _finalNorm;
    private readonly Linear _head;

    public GptModel(GptShape shape)
        : base(nameof(GptModel))
    {
        _tokenEmbedding = Embedding(shape.Vocabulary, shape.Hidden);
        _positionEmbedding = Embedding(shape.Sequence, shape.Hidden);
        _blocks = new ModuleList<Block>([.. Enumerable.Range(0, shape.Layers).Select(_ => new Block(shape))]);
        _finalNorm = LayerNorm(shape.Hidden);
        _head = Linear(shape.Hidden, shape.Vocabulary, hasBias: false);
        RegisterComponents();
    }

    /// <summary>Logits [batch, sequence, vocabulary] of tokens [batch, sequence].</summary>
    public override Tensor forward(Tensor tokens)
    {
        var x = _tokenEmbedding.call(tokens) + _positionEmbedding.call(arange(tokens.shape[1]));
        foreach (var block in _blocks)
        {
            x = block.call(x);
        }

        return _head.call(_finalNorm.call(x));
    }

    /// <summary>Modules one after another, rather than one sum after another, so that a pipeline can cut between any two.</summary>
    private sealed class Block : Module<Tensor, Tensor>
    {
        private readonly Attending _attention;
        private readonly Widening _up;
        private readonly Narrowing _down;

        public Block(GptShape shape)
            : base(nameof(Block))
        {
            _attention = new Attending(shape);
            _up = new Widening(shape);
            _down = new Narrowing(shape);
            RegisterComponents();
        }

        public override Tensor forward(Tensor x)
        {
            x = _attention.call(x);
            return _down.call(x, _up.call(x));
        }
    }

    private sealed class Attending : Module<Tensor, Tensor>
    {
        private readonly LayerNorm _norm;
        private readonly Attention _attention;

        public Attending(GptShape shape)
            : base(nameof(Attending))
        {
            _norm = LayerNorm(shape.Hidden);
            _attention = new Attention(shape);
            RegisterComponents();
        }

        public override Tensor forward(Tensor x) => x + _attention.call(_norm.call(x));
    }

    private sealed class Widening : Module<Tensor, Tensor>
    {
        private readonly LayerNorm _norm;
        private readonly Linear _linear;

        public Widening(GptShape shape)
            : base(nameof(Widening))
        {
            _norm = LayerNorm(shape.Hidden);
            _linear = Linear(shape.Hidden, 4 * shape.Hidden);
            RegisterComponents();
        }

        public override Tensor forward(Tensor x) => functional.gelu(_linear.call(_norm.call(x)), TorchSharp.Modules.GELU.Approximate.tanh);
    }

    private sealed class Narrowing : Module<Tensor, Tensor, Tensor>
    {
        private readonly Linear _linear;

        public Narrowing(GptShape shape)
            : base(nameof(Narrowing))
        {
            _linear = Linear(4 * shape.Hidden, shape.Hidden);
            RegisterComponents();
        }

        public override Tensor forward(Tensor x, Tensor wide) => x + _linear.call(wide);
    }

    private sealed class Attention : Module<Tensor, Tensor>
    {
        private readonly long _headSize;
        private readonly Linear _query;
        private readonly Linear _key;
        private readonly Linear _value;
        private readonly Linear _projection;

        public Attention(GptShape shape)
            : base(nameof(Attention))
        {
            _headSize = shape.Hidden / shape.Heads;
            _query = Linear(shape.Hidden, shape.Hidden);
            _key = Linear(shape.Hidden, shape.Hidden);
            _value = Linear(shape.Hidden, shape.Hidden);
            _projection = Linear(shape.Hidden, shape.Hidden);
            RegisterComponents();
        }

        public override Tensor forward(Tensor x)
        {
            var y = functional.scaled_dot_product_attention(
                Split(_query.call(x)), Split(_key.call(x)), Split(_value.call(x)), is_casual: true);
            return _projection.call(y.transpose(1, 2).flatten(2));
        }

        private Tensor Split(Tensor x) => x.view(x.shape[0], x.shape[1], -1, _headSize).transpose(1, 2);
    }
}
