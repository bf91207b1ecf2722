using ShardSharp.Topology;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>
/// The feed-forward network of a transformer, whose intermediate features the ranks share (SMP: <c>smp.nn.DistributedTransformerOutputLayer</c>).
/// </summary>
/// <remarks>
/// Hidden states are normalised (<c>pre_layernorm</c>), taken to the intermediate features (<c>dense1</c>), through the activation, and back
/// (<c>dense2</c>), and dropped out; with <c>PostLayerNorm</c> added to what went in and normalised (<c>layernorm</c>). Without it, adding is the
/// caller's.
/// </remarks>
public sealed class DistributedTransformerOutputLayer : nn.Module<Tensor, Tensor>
{
    private readonly DistributedTransformerOptions _options;
    private readonly Regime _regime;
    private readonly bool _isInner;

    [ComponentName(Name = "dense1")]
    private readonly EntryLinear _dense1;

    [ComponentName(Name = "dense2")]
    private readonly ExitLinear _dense2;

    [ComponentName(Name = "pre_layernorm")]
    private readonly StreamNorm? _preNorm;

    [ComponentName(Name = "layernorm")]
    private readonly StreamNorm? _norm;

    [ComponentName(Name = "dropout")]
    private readonly RankedDropout _dropout;

    /// <summary>Creates the part of this rank, with its slices of the parameters that one rank has after the same seed.</summary>
    /// <param name="options">Sizes and kinds; those of attention do not matter.</param>
    /// <param name="ranks">The ranks that share it.</param>
    /// <exception cref="TensorParallelException">The ranks do not divide the intermediate features, or the hidden ones.</exception>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public DistributedTransformerOutputLayer(DistributedTransformerOptions options, TensorRanks ranks)
        : this(options, ranks, isInner: false)
    {
    }

    /// <param name="options">As above.</param>
    /// <param name="ranks">As above.</param>
    /// <param name="isInner">Whether it is called with the stream, by a module that it is a part of.</param>
    internal DistributedTransformerOutputLayer(DistributedTransformerOptions options, TensorRanks ranks, bool isInner)
        : base(nameof(DistributedTransformerOutputLayer))
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(ranks);
        options.Validate();
        ranks.RequireDivided(nameof(DistributedTransformerOutputLayer), ("IntermediateSize", options.IntermediateSize));
        if (ranks.Optimize == OptimizationGoal.Memory)
        {
            ranks.RequireDivided(
                nameof(DistributedTransformerOutputLayer), ("IntermediateSize", options.IntermediateSize), ("HiddenSize", options.HiddenSize));
        }

        (_options, _regime, _isInner) = (options, new Regime(ranks), isInner);
        _dense1 = new EntryLinear(options.HiddenSize, options.IntermediateSize, options, _regime);
        _dense2 = new ExitLinear(options.IntermediateSize, options.HiddenSize, options, _regime);
        _preNorm = options.PreLayerNorm ? new StreamNorm(options.HiddenSize, options.LayerNormEpsilon, _regime) : null;
        _norm = options.PostLayerNorm ? new StreamNorm(options.HiddenSize, options.LayerNormEpsilon, _regime) : null;
        _dropout = new RankedDropout(options.HiddenDropoutProbability, _regime.Group, _regime.HasSameStream);
        RegisterComponents();
    }

    /// <summary>Computes the layer.</summary>
    /// <param name="hidden">[batch, sequence, hidden]</param>
    /// <returns>[batch, sequence, hidden]</returns>
    public override Tensor forward(Tensor hidden)
    {
        ArgumentNullException.ThrowIfNull(hidden);
        using var scope = NewDisposeScope();
        var output = _isInner ? Compute(hidden) : _regime.Leave(Compute(_regime.Enter(hidden)));
        return output.MoveToOuterDisposeScope();
    }

    private Tensor Compute(Tensor stream)
    {
        var features = _dense1.call(_regime.ToProducts(_preNorm?.call(stream) ?? stream));
        var active = _options.Activation == TransformerActivation.Gelu ? nn.functional.gelu(features) : nn.functional.relu(features);
        var output = _dropout.call(_dense2.call(active));
        return _norm is null ? output : _norm.call(Residual.Add(output, stream, _options));
    }
}
