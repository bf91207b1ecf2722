using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>A layer of a transformer that the ranks share (SMP: <c>smp.nn.DistributedTransformerLayer</c>).</summary>
/// <remarks>
/// Self-attention (<c>attention</c>), cross-attention if there is one (<c>cross_attention</c>), and the feed-forward network (<c>output</c>), one
/// after another; each result is added to what it was computed from.
/// </remarks>
public sealed class DistributedTransformerLayer : nn.Module<Tensor, Tensor?, Tensor?, Tensor?, Tensor>
{
    private readonly DistributedTransformerOptions _options;
    private readonly Regime _regime;
    private readonly bool _isInner;

    // What a pipeline may cut it into.
    private readonly LayerPart[] _parts;

    [ComponentName(Name = "attention")]
    private readonly DistributedAttentionLayer _attention;

    [ComponentName(Name = "cross_attention")]
    private readonly DistributedAttentionLayer? _crossAttention;

    [ComponentName(Name = "output")]
    private readonly DistributedTransformerOutputLayer _output;

    /// <summary>Creates the part of this rank, with its slices of the parameters that one rank has after the same seed.</summary>
    /// <param name="options">Sizes and kinds.</param>
    /// <param name="ranks">The ranks that share it.</param>
    /// <exception cref="TensorParallelException">The ranks do not divide a size that they share.</exception>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public DistributedTransformerLayer(DistributedTransformerOptions options, TensorRanks ranks)
        : this(options, ranks, isInner: false)
    {
    }

    /// <param name="options">As above.</param>
    /// <param name="ranks">As above.</param>
    /// <param name="isInner">Whether it is called with the stream, by a module that it is a part of.</param>
    internal DistributedTransformerLayer(DistributedTransformerOptions options, TensorRanks ranks, bool isInner)
        : base(nameof(DistributedTransformerLayer))
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(ranks);
        (_options, _regime, _isInner) = (options, new Regime(ranks), isInner);
        _attention = new DistributedAttentionLayer(options, ranks, crossAttention: false, isInner: true);
        _crossAttention = options.AddCrossAttention ? new DistributedAttentionLayer(options, ranks, crossAttention: true, isInner: true) : null;
        _output = new DistributedTransformerOutputLayer(options, ranks, isInner: true);
        RegisterComponents();
        _parts =
        [
            new((stream, mask, _) => Added(_attention.call(stream, mask, null), stream), () => [_attention]),
            .. _crossAttention is null
                ? Array.Empty<LayerPart>() : [new((stream, mask, cross) => Added(_crossAttention.call(stream, mask, cross), stream), () => [_crossAttention])],
            new((stream, _, _) => Added(_output.call(stream), stream), () => [_output]),
        ];
    }

    /// <summary>Computes the layer for hidden states alone.</summary>
    /// <param name="hidden">[batch, sequence, hidden]</param>
    /// <param name="mask">As in <see cref="forward"/>.</param>
    /// <returns>[batch, sequence, hidden]</returns>
    public Tensor call(Tensor hidden, Tensor? mask = null) => call(hidden, mask, null, null);

    /// <summary>Computes the layer.</summary>
    /// <param name="hidden">[batch, sequence, hidden]</param>
    /// <param name="mask">What is added to the scores of keys [batch or 1, 1, 1, sequence], such as a large negative number; null for nothing.</param>
    /// <param name="cross">What the cross-attention attends to [batch, keys, hidden]; null without one.</param>
    /// <param name="crossMask">What is added to its scores [batch or 1, 1, 1, keys]; null for nothing.</param>
    /// <returns>[batch, sequence, hidden]</returns>
    public override Tensor forward(Tensor hidden, Tensor? mask, Tensor? cross, Tensor? crossMask)
    {
        ArgumentNullException.ThrowIfNull(hidden);
        using var scope = NewDisposeScope();
        var inputs = new TransformerInputs(hidden, mask, cross, crossMask);
        return (_isInner ? Compute(inputs) : _regime.Leave(Compute(inputs.Entered(_regime)))).MoveToOuterDisposeScope();
    }

    private Tensor Compute(TransformerInputs inputs)
    {
        var stream = _parts[0].call(inputs.Hidden, inputs.Mask, null);
        if (_crossAttention is not null)
            stream = _parts[1].call(stream, inputs.CrossMask, inputs.Cross);
        return _parts[^1].call(stream, null, null);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            foreach (var part in _parts)
                part.Dispose();
        }

        base.Dispose(disposing);
    }

    /// <summary>With normalisation behind it, a part has added what it was given itself.</summary>
    private Tensor Added(Tensor computed, Tensor given) => _options.PostLayerNorm ? computed : Residual.Add(computed, given, _options);
}
