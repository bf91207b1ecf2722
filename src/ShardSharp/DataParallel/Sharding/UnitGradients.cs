using ShardSharp.Communication;
using ShardSharp.Native;
using ShardSharp.Precision;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.DataParallel.Sharding;

/// <summary>The gradients of a unit on their way: whole from backward, averaged to the rank that owns each slice, to its pieces.</summary>
/// <param name="unit">The unit.</param>
/// <param name="shard">Ranks that share the unit; each owns a slice.</param>
/// <param name="replicate">Ranks that own the same slice of other copies.</param>
/// <param name="precision">In which type gradients are averaged, to be accumulated in float32; null for that of the parameters.</param>
internal sealed class UnitGradients(ShardedUnit unit, ProcessGroup shard, ProcessGroup replicate, PrecisionPolicy? precision)
{
    private readonly double[] _present = new double[unit.Pieces.Length];
    private Tensor? _slice;
    private Tensor? _incoming;
    private Work? _scattering;
    private Work? _replicating;
    private double _lossScale;
    private bool _last;

    /// <summary>The unit.</summary>
    public ShardedUnit Unit => unit;

    /// <summary>Which of the gradients backward has come to.</summary>
    public GradientArrivals Arrivals { get; } = new([.. unit.Unit.Parameters.Select(named => named.Parameter)]);

    /// <summary>For each parameter 1 if this rank has had a gradient of it since <see cref="Clear"/>, else 0.</summary>
    public ReadOnlySpan<double> Present => _present;

    /// <summary>What this rank holds of the unit now.</summary>
    public HeldState Held
    {
        get
        {
            var whole = TensorBytes.OfGradients(unit.Unit.Parameters.Select(named => named.Parameter));
            return new HeldState(unit.HeldBytes + unit.MasterBytes, unit.HeldSharedBytes, whole + SizeOf(_slice) + SizeOf(_incoming));

            static long SizeOf(Tensor? tensor) => tensor is null ? 0 : TensorBytes.Of(tensor);
        }
    }

    /// <summary>Whether a reduction has begun and not been collected.</summary>
    public bool IsUnderWay => _scattering is not null;

    /// <summary>Begins to average the gradients over the group, each rank its slice, and lets go of the whole ones.</summary>
    /// <param name="last">Whether other copies' gradients are to be averaged in after this.</param>
    /// <param name="lossScale">By what the gradients are too large.</param>
    public void Start(bool last, double lossScale)
    {
        var (type, device) = (precision?.Reduce ?? unit.ElementType, unit.Whole.device);
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var contributions = new List<Tensor>();
        for (var i = 0; i < _present.Length; i++)
        {
            var parameter = unit.Unit.Parameters[i].Parameter;
            var gradient = parameter.grad;
            if (gradient is not null)
                _present[i] = 1;
            contributions.Add(gradient?.to_type(type) ?? zeros(unit.Layout.LengthOf(i), type, device));
            parameter.grad = null;
            if (unit.Layout.PaddingAfter(i) is > 0 and var padding)
                contributions.Add(zeros(padding, type, device));
        }

        (_last, _lossScale) = (last, lossScale);
        _incoming = empty(unit.Layout.SliceLength, type, device).DetachFromDisposeScope();

        // NCCL reduces one run at a time; a list would be as many reductions to each rank.
        Tensor[] runs = shard.IsOfDevices ? [cat([.. contributions.Select(part => part.reshape(-1))])] : [.. contributions];
        _scattering = shard.ReduceScatterAsync(_incoming, runs, ReduceOperation.Mean);
    }

    /// <summary>Waits for the averages, and adds them to those of earlier backwards.</summary>
    public void Collect()
    {
        _scattering!.Wait();
        _scattering = null;
        Accumulate(_incoming!);
        _incoming = null;
        if (_last && replicate.Size > 1)
            _replicating = replicate.AllReduceAsync(_slice!, ReduceOperation.Mean);
    }

    private void Accumulate(Tensor incoming)
    {
        var type = precision is null ? incoming.dtype : ScalarType.Float32;
        if (_slice is null && incoming.dtype == type && _lossScale == 1)
        {
            _slice = incoming;
            return;
        }

        using var scope = NewDisposeScope();
        using var _ = no_grad();
        using Scalar weight = 1 / _lossScale;
        _slice ??= zeros(incoming.shape, type, incoming.device).DetachFromDisposeScope();
        _slice.add_(incoming, weight);
        incoming.Dispose();
    }

    /// <summary>Gives the pieces their gradients.</summary>
    /// <param name="present">For each parameter whether any rank has a gradient of it.</param>
    public void Deliver(ReadOnlySpan<double> present)
    {
        _replicating?.Wait();
        _replicating = null;
        using var scope = NewDisposeScope();
        for (var i = 0; i < present.Length; i++)
        {
            var (_, piece, place) = unit.Pieces[i];
            piece.grad = present[i] > 0 ? _slice!.narrow(0, place.InSlice, place.Length) : null;
        }
    }

    /// <summary>Throws if backward added to a gradient after its reduction had begun.</summary>
    public void RequireNothingLate()
    {
        foreach (var (name, parameter) in unit.Unit.Parameters)
        {
            using var late = parameter.grad;
            if (late is not null)
                throw LateGradient.Of(name);
        }
    }

    /// <summary>Lets go of all gradients.</summary>
    public void Clear()
    {
        foreach (var (_, parameter) in unit.Unit.Parameters)
            parameter.grad = null;
        foreach (var (_, piece, _) in unit.Pieces)
            piece.grad = null;
        _slice?.Dispose();
        _slice = null;
        Array.Clear(_present);
    }
}
