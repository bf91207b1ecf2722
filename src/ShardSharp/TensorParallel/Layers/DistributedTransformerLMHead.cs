using TorchSharp;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>
/// A transformer with embeddings and a language model's head, which the ranks share (SMP: <c>smp.nn.DistributedTransformerLMHead</c>).
/// </summary>
/// <remarks>
/// Embeddings of tokens (<c>word_embedding</c>), positions and types are added and dropped out, and go through the layers (<c>transformer</c>). With
/// <c>PreLayerNorm</c> and no <c>PostLayerNorm</c> the result is normalised (<c>layernorm</c>). The head (<c>lm_head</c>) has the parameter of
/// <c>word_embedding</c>, and no bias. Labels are compared by <c>model.CrossEntropy</c>.
/// </remarks>
public sealed class DistributedTransformerLMHead : nn.Module<Tensor, Tensor?, Tensor?, Tensor?, Tensor?, Tensor?, Tensor>
{
    private readonly DistributedLanguageModelOptions _options;
    private readonly Regime _regime;

    [ComponentName(Name = "word_embedding")]
    private readonly DistributedEmbedding _words;

    [ComponentName(Name = "position_embedding")]
    private readonly DistributedEmbedding? _positions;

    [ComponentName(Name = "token_type_embedding")]
    private readonly DistributedEmbedding? _types;

    [ComponentName(Name = "dropout")]
    private readonly RankedDropout _dropout;

    [ComponentName(Name = "transformer")]
    private readonly DistributedTransformer _transformer;

    [ComponentName(Name = "layernorm")]
    private readonly StreamNorm? _norm;

    [ComponentName(Name = "lm_head")]
    private readonly TiedHead? _head;

    [ComponentName(Name = "exit")]
    private readonly StreamExit? _exit;

    /// <summary>Creates the part of this rank, with its slices of the parameters that one rank has after the same seed.</summary>
    /// <param name="options">Sizes and kinds.</param>
    /// <param name="ranks">The ranks that share it.</param>
    /// <exception cref="TensorParallelException">The ranks do not divide a size that they share.</exception>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public DistributedTransformerLMHead(DistributedLanguageModelOptions options, TensorRanks ranks)
        : base(nameof(DistributedTransformerLMHead))
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(ranks);
        options.Validate();
        ranks.RequireDivided(
            nameof(DistributedTransformerLMHead), ("HiddenSize", options.HiddenSize), ("NumAttentionHeads", options.NumAttentionHeads),
            ("IntermediateSize", options.IntermediateSize));
        (_options, _regime) = (options, new Regime(ranks));
        _words = Embedding(options.VocabularySize, ranks);
        _positions = options.NumPositions > 0 ? Embedding(options.NumPositions, ranks) : null;
        _types = options.NumTokenTypes > 0 ? Embedding(options.NumTokenTypes, ranks) : null;
        _dropout = new RankedDropout(options.HiddenDropoutProbability, ranks.Group, _regime.HasSameStream);
        _transformer = new DistributedTransformer(options, ranks, isInner: true);
        _norm = options is { PreLayerNorm: true, PostLayerNorm: false } ? new StreamNorm(options.HiddenSize, options.LayerNormEpsilon, _regime) : null;
        _head = options.AddLanguageModelHead ? new TiedHead(_words, _regime) : null;
        _exit = _head is null ? new StreamExit(_regime) : null;
        RegisterComponents();
    }

    /// <summary>Computes the model for tokens alone.</summary>
    /// <param name="tokens">[batch, sequence] of int64.</param>
    /// <param name="mask">As in <see cref="forward"/>.</param>
    /// <returns>Logits [batch, sequence, vocabulary], or hidden states [batch, sequence, hidden].</returns>
    public Tensor call(Tensor tokens, Tensor? mask = null) => call(tokens, mask, null, null, null, null);

    /// <summary>Computes the model.</summary>
    /// <param name="tokens">[batch, sequence] of int64.</param>
    /// <param name="mask">1 where a position is not to be attended to, else 0 [batch, sequence]; null to attend to all.</param>
    /// <param name="types">Types of the tokens [batch, sequence] of int64; null for 0.</param>
    /// <param name="positions">Positions of the tokens [batch, sequence] of int64; null to count from 0.</param>
    /// <param name="cross">What cross-attention attends to [batch, keys, hidden]; null without it.</param>
    /// <param name="crossMask">As <paramref name="mask"/>, of what cross-attention attends to [batch, keys].</param>
    /// <returns>Logits [batch, sequence, vocabulary], or hidden states [batch, sequence, hidden].</returns>
    /// <exception cref="ArgumentException">A token, type or position has no embedding, or the sequence is too long.</exception>
    public override Tensor forward(Tensor tokens, Tensor? mask, Tensor? types, Tensor? positions, Tensor? cross, Tensor? crossMask)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        using var scope = NewDisposeScope();
        var embedded = _dropout.call(Embed(tokens, types, positions));
        var stream = _transformer.call(
            embedded, Added(mask, tokens, embedded), cross is null ? null : _regime.Enter(cross), Added(crossMask, tokens, embedded));
        if (_norm is not null)
            stream = _norm.call(stream);
        return (_head?.call(stream) ?? _exit!.call(stream)).MoveToOuterDisposeScope();
    }

    private DistributedEmbedding Embedding(long count, TensorRanks ranks) => new(
        count, _options.HiddenSize, ranks, new DistributedEmbeddingOptions { InitializerRange = _options.InitializerRange }, initial: null, isInner: true);

    /// <summary>The sum of the embeddings, as the stream.</summary>
    private Tensor Embed(Tensor tokens, Tensor? types, Tensor? positions)
    {
        var (batch, length) = (tokens.shape[0], tokens.shape[1]);
        var sum = _words.call(_regime.AllSamples(tokens, batch));
        if (_positions is not null)
        {
            if (positions is null && length > _options.NumPositions)
                throw new ArgumentException($"The sequence has {length} positions; NumPositions is {_options.NumPositions}.", nameof(tokens));
            sum += _positions.call(
                positions is null ? arange(length, ScalarType.Int64, tokens.device).unsqueeze(0) : _regime.AllSamples(positions, batch));
        }
        else if (positions is not null)
        {
            throw new ArgumentException("The model was called with positions, but NumPositions is 0.", nameof(positions));
        }

        if (_types is not null)
            sum += _types.call(_regime.AllSamples(types ?? zeros_like(tokens), batch));
        else if (types is not null)
            throw new ArgumentException("The model was called with types of tokens, but NumTokenTypes is 0.", nameof(types));
        return _regime.DividesStream ? sum : _regime.Undivide(sum);
    }

    /// <summary>What is added to scores [all, 1, 1, keys] by a mask [batch, keys]: little enough for weights of zero.</summary>
    private Tensor? Added(Tensor? mask, Tensor tokens, Tensor like)
    {
        if (mask is null)
            return null;
        using Scalar hidden = -10000;
        return _regime.AllSamples(mask, tokens.shape[0]).to_type(like.dtype).unsqueeze(1).unsqueeze(1) * hidden;
    }
}
