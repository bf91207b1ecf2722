using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>The layers of a transformer, which the ranks share (SMP: <c>smp.nn.DistributedTransformer</c>).</summary>
/// <remarks>Its layers are the members of <c>seq_layers</c>; what passes between them is exchanged once at each end.</remarks>
public sealed class DistributedTransformer : nn.Module<Tensor, Tensor?, Tensor?, Tensor?, Tensor>
{
    private readonly Regime _regime;
    private readonly bool _isInner;

    [ComponentName(Name = "seq_layers")]
    private readonly ModuleList<DistributedTransformerLayer> _layers;

    [ComponentName(Name = "exit")]
    private readonly StreamExit? _exit;

    /// <summary>Creates the part of this rank, with its slices of the parameters that one rank has after the same seed.</summary>
    /// <param name="options">Sizes and kinds.</param>
    /// <param name="ranks">The ranks that share it.</param>
    /// <exception cref="TensorParallelException">The ranks do not divide a size that they share.</exception>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public DistributedTransformer(DistributedTransformerOptions options, TensorRanks ranks)
        : this(options, ranks, isInner: false)
    {
    }

    /// <param name="options">As above.</param>
    /// <param name="ranks">As above.</param>
    /// <param name="isInner">Whether it is called with the stream, by a module that it is a part of.</param>
    internal DistributedTransformer(DistributedTransformerOptions options, TensorRanks ranks, bool isInner)
        : base(nameof(DistributedTransformer))
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(ranks);
        options.Validate();
        (_regime, _isInner) = (new Regime(ranks), isInner);
        _layers = new ModuleList<DistributedTransformerLayer>(
            [.. Enumerable.Range(0, options.NumLayers).Select(_ => new DistributedTransformerLayer(options, ranks, isInner: true))]);
        _exit = isInner ? null : new StreamExit(_regime);
        RegisterComponents();
    }

    /// <summary>Computes all layers for hidden states alone.</summary>
    /// <param name="hidden">[batch, sequence, hidden]</param>
    /// <param name="mask">As in <see cref="forward"/>.</param>
    /// <returns>[batch, sequence, hidden]</returns>
    public Tensor call(Tensor hidden, Tensor? mask = null) => call(hidden, mask, null, null);

    /// <summary>Computes all layers.</summary>
    /// <inheritdoc cref="DistributedTransformerLayer.forward"/>
    public override Tensor forward(Tensor hidden, Tensor? mask, Tensor? cross, Tensor? crossMask)
    {
        ArgumentNullException.ThrowIfNull(hidden);
        using var scope = NewDisposeScope();
        var inputs = new TransformerInputs(hidden, mask, cross, crossMask);
        if (!_isInner)
            inputs = inputs.Entered(_regime);
        var stream = inputs.Hidden;
        foreach (var layer in _layers)
        {
            var next = layer.call(stream, inputs.Mask, inputs.Cross, inputs.CrossMask);
            if (!ReferenceEquals(stream, hidden))
                stream.Dispose();
            stream = next;
        }

        return (_exit?.call(stream) ?? stream).MoveToOuterDisposeScope();
    }
}
