using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TrainGpt.Model;

/// <summary>
/// A GPT-2 style language model (Radford et al. 2019) in plain TorchSharp: token ids [batch, sequence] in, logits
/// [batch, sequence, vocabulary] out. Nothing in it knows that it will be trained on several ranks.
/// </summary>
public sealed class Gpt : Module<Tensor, Tensor>
{
    private readonly Embedding _tokens;
    private readonly Embedding _positions;
    private readonly ModuleList<Block> _blocks;
    private readonly LayerNorm _norm;
    private readonly Linear _head;

    public Gpt(GptSettings settings) : base(nameof(Gpt))
    {
        Settings = settings;
        _tokens = Embedding(settings.Vocabulary, settings.Hidden);
        _positions = Embedding(settings.Sequence, settings.Hidden);
        _blocks = ModuleList(Enumerable.Range(0, settings.Layers).Select(_ => new Block(settings)).ToArray());
        _norm = LayerNorm(settings.Hidden);
        _head = Linear(settings.Hidden, settings.Vocabulary, hasBias: false);
        RegisterComponents();
        Initialise();
    }

    public GptSettings Settings { get; }

    // Submodules are run with `call`, never `forward`: that is where hooks fire, and hooks are how ShardSharp distributes a model.
    public override Tensor forward(Tensor input)
    {
        // Native memory lives until its handle is disposed: the scope frees what autograd does not keep as soon as we leave.
        using var scope = NewDisposeScope();
        var positions = arange(input.shape[1], dtype: ScalarType.Int64, device: input.device);
        var hidden = _tokens.call(input) + _positions.call(positions);
        foreach (var block in _blocks)
            hidden = block.call(hidden);
        return _head.call(_norm.call(hidden)).MoveToOuterDisposeScope();
    }

    /// <summary>Mean over all tokens of how surprised the model is by the next one, in nats: the training objective.</summary>
    /// <param name="logits">[batch, sequence, vocabulary]</param>
    /// <param name="labels">[batch, sequence] of int64.</param>
    public static Tensor Loss(Tensor logits, Tensor labels)
    {
        using var scope = NewDisposeScope();
        return functional.cross_entropy(logits.flatten(0, 1), labels.flatten()).MoveToOuterDisposeScope();
    }

    /// <summary>GPT-2's initialisation: normal of 0.02, and narrower where a layer writes into the residual stream.</summary>
    private void Initialise()
    {
        using var _ = no_grad();
        foreach (var (name, parameter) in named_parameters())
        {
            if (parameter.dim() < 2)
                continue;
            var depth = name.EndsWith("_output.weight", StringComparison.Ordinal) ? Math.Sqrt(2.0 * Settings.Layers) : 1;
            init.normal_(parameter, 0, 0.02 / depth);
        }
    }
}

/// <summary>One pre-norm transformer block: attention and a feed-forward network, each added to the residual stream.</summary>
public sealed class Block : Module<Tensor, Tensor>
{
    private readonly LayerNorm _attentionNorm;
    private readonly Attention _attention;
    private readonly LayerNorm _feedForwardNorm;
    private readonly FeedForward _feedForward;

    public Block(GptSettings settings) : base(nameof(Block))
    {
        _attentionNorm = LayerNorm(settings.Hidden);
        _attention = new Attention(settings);
        _feedForwardNorm = LayerNorm(settings.Hidden);
        _feedForward = new FeedForward(settings);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var hidden = input + _attention.call(_attentionNorm.call(input));
        return (hidden + _feedForward.call(_feedForwardNorm.call(hidden))).MoveToOuterDisposeScope();
    }
}

/// <summary>Causal multi-head self-attention.</summary>
public sealed class Attention : Module<Tensor, Tensor>
{
    private readonly Linear _query;
    private readonly Linear _key;
    private readonly Linear _value;
    private readonly Linear _output;
    private readonly int _heads;

    public Attention(GptSettings settings) : base(nameof(Attention))
    {
        _heads = settings.Heads;
        _query = Linear(settings.Hidden, settings.Hidden, hasBias: false);
        _key = Linear(settings.Hidden, settings.Hidden, hasBias: false);
        _value = Linear(settings.Hidden, settings.Hidden, hasBias: false);
        _output = Linear(settings.Hidden, settings.Hidden, hasBias: false);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var mixed = functional.scaled_dot_product_attention(
            Heads(_query.call(input)), Heads(_key.call(input)), Heads(_value.call(input)), is_casual: true);
        return _output.call(mixed.transpose(1, 2).flatten(2)).MoveToOuterDisposeScope();
    }

    // [batch, sequence, hidden] -> [batch, heads, sequence, hidden / heads]
    private Tensor Heads(Tensor projected) => projected.unflatten(2, _heads, -1).transpose(1, 2);
}

/// <summary>The position-wise network: four times wider inside, GELU between.</summary>
public sealed class FeedForward : Module<Tensor, Tensor>
{
    private readonly Linear _input;
    private readonly Linear _output;

    public FeedForward(GptSettings settings) : base(nameof(FeedForward))
    {
        _input = Linear(settings.Hidden, 4 * settings.Hidden, hasBias: false);
        _output = Linear(4 * settings.Hidden, settings.Hidden, hasBias: false);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        return _output.call(functional.gelu(_input.call(input))).MoveToOuterDisposeScope();
    }
}
