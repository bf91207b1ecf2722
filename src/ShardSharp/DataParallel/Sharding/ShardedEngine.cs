using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using ShardSharp.Activations;
using ShardSharp.Communication;
using ShardSharp.Modules;
using ShardSharp.Precision;
using ShardSharp.Topology;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.DataParallel.Sharding;

/// <summary>
/// Sharded data parallelism: each rank of a shard group owns a slice of every unit, with its gradients and the optimizer's state.
/// </summary>
/// <remarks>
/// <para>After Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models" (2020), and Zhang et al., "MiCS:
/// Near-linear Scaling for Training Gigantic Model on Public Cloud" (2022), for groups smaller than all ranks.</para>
/// <para>Gradients of a unit are reduced and freed as soon as backward has completed them, unit by unit in one fixed order, the same on every
/// rank. Where only the optimizer's state is sharded they are kept whole until the last backward before the optimizer's step.</para>
/// </remarks>
internal sealed class ShardedEngine : IReplicaEngine
{
    /// <summary>Units whose gradients are held whole while others compute: one is reduced, one waits its turn.</summary>
    private const int MaximumUnderWay = 4;

    private readonly nn.Module _module;
    private readonly ProcessGroup _shard;
    private readonly UnitGradients[] _units;
    private readonly BackwardWatch? _watch;
    private readonly Recomputation? _recomputation;
    private readonly ParameterGathering? _gathering;
    private readonly Queue<UnitGradients> _underWay = [];
    private readonly bool _keepsGradients;
    private UnitGradients[] _trained = [];
    private ExceptionDispatchInfo? _failure;
    private bool _armed;
    private bool _last;
    private double _lossScale;

    /// <param name="module">The model, with the same parameters on all ranks.</param>
    /// <param name="configuration">How to shard it.</param>
    /// <param name="group">All ranks that hold the same parameters.</param>
    /// <param name="shard">Those of them that share one copy.</param>
    /// <param name="replicate">Those of them that own the same slice of different copies.</param>
    /// <param name="device">Where the model computes; parameters that are elsewhere come there slice by slice.</param>
    /// <param name="isUnit">Which modules are units, by name; null to choose them.</param>
    /// <param name="recomputation">Tells when gradients are not yet what they will be; null where the model never computes again.</param>
    public ShardedEngine(
        nn.Module module, ParallelConfiguration configuration, ProcessGroup group, ProcessGroup shard, ProcessGroup replicate, Device device,
        Func<string, bool>? isUnit, Recomputation? recomputation = null)
    {
        _recomputation = recomputation;

        // Whole gradients accumulate in the type that they are computed in, so mixed precision reduces them each time.
        var precision = PrecisionPolicy.Of(configuration);
        (_module, Group, _shard, _keepsGradients) = (module, group, shard, configuration.ShardOptimizerState && precision is null);
        var rules = new UnitRules
        {
            MaximumElements = Math.Min(configuration.ShardedReduceBucketSize, configuration.ShardedMaximumLiveParameters / 2),
            PersistenceThreshold = shard.SharesMemory ? 0 : configuration.ShardedPersistenceThreshold,
            IsUnit = isUnit,
        };

        // Backward ends where forward began.
        _units = [.. ModuleUnits.Divide(module, rules).Reverse()
            .Select(unit => new UnitGradients(new ShardedUnit(unit, shard, IsReleased(unit), precision, device), shard, replicate, precision))];
        _shard.Barrier();
        var pieces = Units.SelectMany(unit => unit.Pieces).ToDictionary(piece => piece.Name, piece => piece.Parameter);
        Parameters = [.. module.named_parameters().Select(named => (named.name, pieces[named.name]))];
        if (!shard.SharesMemory)
            _gathering = Gathering(configuration);
        if (!configuration.OverlappingAllReduce || group.Size == 1)
            return;
        _watch = new BackwardWatch(OnPassed);
        foreach (var part in _units.Select(unit => unit.Unit.Unit.Module).Where(part => part != _module))
            _watch.Watch(part, long.MaxValue);

        bool IsReleased(ParameterUnit unit) =>
            !shard.SharesMemory && configuration.ReleasesParameters && !unit.Persistent && unit.Module != module;
    }

    public ProcessGroup Group { get; }

    public ProcessGroup? Shards => _shard;

    public bool Overlaps => _watch is not null;

    public HeldState Held => _units.Aggregate(default(HeldState), (held, unit) => held + unit.Held);

    /// <summary>Units of the model, in the order in which their gradients are reduced.</summary>
    public IEnumerable<ShardedUnit> Units => _units.Select(unit => unit.Unit);

    /// <summary>How many units' reductions the latest backward has begun, always the first ones.</summary>
    public int Started { get; private set; }

    /// <summary>The pieces, in the order of the module's parameters.</summary>
    public IEnumerable<(string Name, Parameter Parameter)> Parameters { get; }

    public IEnumerable<OwnedParameter> Owned => Units.SelectMany(unit => unit.Owned);

    public void Arm(bool last, double lossScale)
    {
        if (!Reduces(last))
            return;
        (Started, _last, _lossScale) = (0, last, lossScale);
        _trained = [.. _units.Where(unit => unit.Unit.IsTrained)];
        foreach (var unit in _units)
            unit.Unit.FollowFreezing();
        foreach (var unit in _trained)
            unit.Arrivals.Remember();
        _armed = Overlaps;
    }

    public void Finish(bool last)
    {
        _armed = false;
        _failure?.Throw();
        _gathering?.EndBackward();
        if (!Reduces(last))
            return;
        foreach (var unit in _trained[..Started])
            unit.RequireNothingLate();
        while (Started < _trained.Length)
            StartNext();
        if (last)
            Deliver();
    }

    public void ZeroGradients()
    {
        CollectAll();
        foreach (var unit in _units)
            unit.Clear();
    }

    public void RequireSuitable(optim.Optimizer optimizer)
    {
        if (optimizer is LBFGS)
        {
            throw new NotSupportedException(
                "LBFGS takes inner products over all parameters, of which a rank has only its pieces here. Use an optimizer that treats every "
                + "element by itself, such as AdamW, or replicated data parallelism.");
        }

        var pieces = Parameters.Select(named => named.Parameter).ToHashSet<object>(ReferenceEqualityComparer.Instance);
        if (optimizer.parameters().Any(parameter => !pieces.Contains(parameter)))
        {
            throw new ArgumentException(
                "The optimizer has parameters that are not this rank's pieces of the model: whole ones of the module, perhaps, or it was created "
                + "before the model was distributed. Create it over the parameters that session.DistributedOptimizer passes, which model.Parameters "
                + "and model.NamedParameters give as well.");
        }
    }

    public void Update(Action update)
    {
        // The slices that this rank writes are parameters that other ranks may still compute with; and what it computes next needs theirs.
        _gathering?.BeginUpdate();
        _shard.Barrier();
        update();
        foreach (var unit in Units)
            unit.Publish();
        _shard.Barrier();
        _gathering?.EndUpdate();
    }

    public Exception? Explain(Exception failure)
    {
        if (BackwardMarker.IsWrittenTo(failure))
        {
            return _gathering is null
                ? BackwardMarker.Explain(failure)
                : new InvalidOperationException(
                    "A module changes its input in place, which it cannot where parameters are gathered for each use. Let the module compute a new "
                    + "tensor, or set sdp_sharding_level to gradients and overlapping_allreduce to false.", failure);
        }

        return failure is ExternalException && _gathering is { HasReleased: true }
            ? new InvalidOperationException(
                "A computation failed while parameters of other modules were sharded. If it uses a parameter outside the call of the module that "
                + "holds it, which is empty then: take that module out of the units (isUnit of session.DistributedModel), set sdp_sharding_level to "
                + "gradients, or, outside of training, use model.GatherParameters(). The failure: " + failure.Message.Split('\n')[0], failure)
            : null;
    }

    public IDisposable GatherParameters()
    {
        _shard.Barrier();
        return _gathering?.GatherAll() ?? new ReadableParameters(static () => { });
    }

    public void Dispose()
    {
        _watch?.Dispose();
        _gathering?.Dispose();
        foreach (var unit in _units)
        {
            unit.Clear();
            unit.Unit.Dispose();
        }
    }

    private bool Reduces(bool last) => last || !_keepsGradients;

    private ParameterGathering Gathering(ParallelConfiguration configuration)
    {
        var group = (configuration.ShardedHierarchicalAllGather ? _shard : _shard.WithoutHierarchy)
            .Split("gather", [[.. Enumerable.Range(0, _shard.Size)]]);
        return new ParameterGathering(Units, group, configuration.ShardedMaximumLiveParameters, Guard, _recomputation);
    }

    private void OnPassed()
    {
        if (_armed && _recomputation is not { IsUnderWay: true })
            Guard(StartComplete);
    }

    private void StartComplete()
    {
        while (Started < _trained.Length && _trained[Started].Arrivals.AreComplete)
            StartNext();
    }

    /// <summary>Between backward's callers and its callees lie libtorch's frames, through which no exception can pass.</summary>
    private void Guard(Action action)
    {
        if (_failure is not null)
            return;
        try
        {
            action();
        }
        catch (Exception failure)
        {
            _failure = ExceptionDispatchInfo.Capture(failure);
        }
    }

    private void StartNext()
    {
        var unit = _trained[Started++];
        while (_underWay.Count >= MaximumUnderWay || unit.IsUnderWay)
            _underWay.Dequeue().Collect();
        unit.Start(_last, _lossScale);
        _underWay.Enqueue(unit);
    }

    private void CollectAll()
    {
        while (_underWay.TryDequeue(out var unit))
            unit.Collect();
    }

    /// <summary>Gives the pieces their gradients. Parameters that no rank has a gradient of stay without one.</summary>
    private void Deliver()
    {
        CollectAll();
        double[] present = [.. _trained.SelectMany(unit => unit.Present.ToArray())];
        Group.AllReduce(present.AsSpan(), ReduceOperation.Max);
        var offset = 0;
        foreach (var unit in _trained)
        {
            unit.Deliver(present.AsSpan(offset, unit.Present.Length));
            offset += unit.Present.Length;
        }
    }
}
