using ShardSharp.Topology;
using TorchSharp;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>Attention whose heads the ranks share (SMP: <c>smp.nn.DistributedAttentionLayer</c>).</summary>
/// <remarks>
/// Hidden states and a mask go in, hidden states come out: normalised (<c>pre_layernorm</c>), projected to queries, keys and values, mixed head by
/// head, projected back (<c>dense</c>), dropped out; with <c>PostLayerNorm</c> added to what went in and normalised (<c>layernorm</c>). Without
/// it, adding is the caller's.
/// </remarks>
public sealed class DistributedAttentionLayer : nn.Module<Tensor, Tensor?, Tensor?, Tensor>
{
    private readonly DistributedTransformerOptions _options;
    private readonly Regime _regime;
    private readonly AttentionBias _scoreBias;
    private readonly bool _isCross, _isInner;

    [ComponentName(Name = "query")]
    private readonly EntryLinear _query;

    [ComponentName(Name = "key")]
    private readonly EntryLinear _key;

    [ComponentName(Name = "value")]
    private readonly EntryLinear _value;

    [ComponentName(Name = "dense")]
    private readonly ExitLinear _dense;

    [ComponentName(Name = "pre_layernorm")]
    private readonly StreamNorm? _preNorm;

    [ComponentName(Name = "layernorm")]
    private readonly StreamNorm? _norm;

    [ComponentName(Name = "attention_dropout")]
    private readonly RankedDropout _attentionDropout;

    [ComponentName(Name = "dropout")]
    private readonly RankedDropout _dropout;

    /// <summary>Creates the part of this rank, with its slices of the parameters that one rank has after the same seed.</summary>
    /// <param name="options">Sizes and kinds; those of the feed-forward network do not matter.</param>
    /// <param name="ranks">The ranks that share it.</param>
    /// <param name="crossAttention">Whether keys and values are of other states than queries; never causal, and without linear biases.</param>
    /// <exception cref="TensorParallelException">The ranks do not divide the heads, or the hidden features.</exception>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public DistributedAttentionLayer(DistributedTransformerOptions options, TensorRanks ranks, bool crossAttention = false)
        : this(options, ranks, crossAttention, isInner: false)
    {
    }

    /// <param name="options">As above.</param>
    /// <param name="ranks">As above.</param>
    /// <param name="crossAttention">As above.</param>
    /// <param name="isInner">Whether it is called with the stream, by a module that it is a part of.</param>
    internal DistributedAttentionLayer(DistributedTransformerOptions options, TensorRanks ranks, bool crossAttention, bool isInner)
        : base(nameof(DistributedAttentionLayer))
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(ranks);
        options.Validate();
        ranks.RequireDivided(nameof(DistributedAttentionLayer), ("NumAttentionHeads", options.NumAttentionHeads));
        if (ranks.Optimize == OptimizationGoal.Memory)
            ranks.RequireDivided(nameof(DistributedAttentionLayer), ("NumAttentionHeads", options.NumAttentionHeads), ("HiddenSize", options.HiddenSize));
        (_options, _regime, _isCross, _isInner) = (options, new Regime(ranks), crossAttention, isInner);
        var heads = options.NumAttentionHeads / ranks.Size;
        _scoreBias = new AttentionBias(
            crossAttention ? options with { CausalMaskSize = null, UseAlibi = false } : options, ranks.Group.Rank * heads, heads);
        var (hidden, features) = (options.HiddenSize, options.NumAttentionHeads * options.AttentionHeadSize);
        _query = new EntryLinear(hidden, features, options, _regime);
        _key = new EntryLinear(hidden, features, options, _regime);
        _value = new EntryLinear(hidden, features, options, _regime);
        _dense = new ExitLinear(features, hidden, options, _regime);
        _preNorm = options.PreLayerNorm ? new StreamNorm(hidden, options.LayerNormEpsilon, _regime) : null;
        _norm = options.PostLayerNorm ? new StreamNorm(hidden, options.LayerNormEpsilon, _regime) : null;
        _attentionDropout = new RankedDropout(options.AttentionDropoutProbability, _regime.Group, alike: false);
        _dropout = new RankedDropout(options.HiddenDropoutProbability, _regime.Group, _regime.HasSameStream);
        RegisterComponents();
    }

    /// <summary>Computes the layer.</summary>
    /// <param name="hidden">[batch, sequence, hidden]</param>
    /// <param name="mask">What is added to the scores of keys [batch or 1, 1, 1, keys], such as a large negative number; null for nothing.</param>
    /// <param name="cross">What a cross-attention attends to [batch, keys, hidden]; null in self-attention.</param>
    /// <returns>[batch, sequence, hidden]</returns>
    public override Tensor forward(Tensor hidden, Tensor? mask, Tensor? cross)
    {
        ArgumentNullException.ThrowIfNull(hidden);
        if (_isCross != cross is not null)
        {
            throw new ArgumentException(
                _isCross ? "A cross-attention was called without states to attend to." : "A self-attention was called with states to attend to.", nameof(cross));
        }

        using var scope = NewDisposeScope();
        if (_isInner)
            return Compute(hidden, mask, cross).MoveToOuterDisposeScope();
        var masks = mask is null ? null : _regime.AllSamples(mask, hidden.shape[0]);
        var states = cross is null ? null : _regime.Enter(cross);
        return _regime.Leave(Compute(_regime.Enter(hidden), masks, states)).MoveToOuterDisposeScope();
    }

    private Tensor Compute(Tensor stream, Tensor? mask, Tensor? cross)
    {
        var own = _regime.ToProducts(_preNorm?.call(stream) ?? stream);
        var attended = cross is null ? own : _regime.ToProducts(cross);
        var mixed = Mix(Heads(_query.call(own)), Heads(_key.call(attended)), Heads(_value.call(attended)), mask);
        var output = _dropout.call(_dense.call(mixed.transpose(1, 2).flatten(2)));
        return _norm is null ? output : _norm.call(Residual.Add(output, stream, _options));
    }

    /// <summary>[batch, heads, sequence, size]</summary>
    private Tensor Heads(Tensor features) => features.unflatten(2, [-1, _options.AttentionHeadSize]).transpose(1, 2);

    private Tensor Mix(Tensor queries, Tensor keys, Tensor values, Tensor? mask)
    {
        var bias = _scoreBias.Of(queries.shape[2], mask, queries.dtype, queries.device);
        if (!_attentionDropout.Drops)
            return nn.functional.scaled_dot_product_attention(queries, keys, values, bias);
        using Scalar scale = 1 / Math.Sqrt(_options.AttentionHeadSize);
        var scores = (queries * scale).matmul(keys.transpose(-1, -2));
        var weights = (bias is null ? scores : scores + bias).softmax(-1);
        return _attentionDropout.call(weights).matmul(values);
    }
}
