using ShardSharp.Communication;
using ShardSharp.DataParallel;
using ShardSharp.DataParallel.Sharding;
using ShardSharp.Diagnostics;
using ShardSharp.Pipeline;
using ShardSharp.Planning;
using ShardSharp.Precision;
using ShardSharp.Topology;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp;

/// <summary>A model whose copies on the ranks train as one.</summary>
/// <remarks>
/// Every rank begins with the same parameters. After a step every parameter's <c>grad</c> is that of the mean loss over all ranks that hold
/// the same parameters, as if one rank had seen the whole batch. Parameters may be frozen and thawed between steps, the same on
/// all ranks, but must not be added or replaced later.
/// </remarks>
public abstract partial class DistributedModel : IDisposable
{
    private readonly IReplicaEngine _engine;
    private readonly ReplicaSynchronizer _replicas;
    private readonly ModuleCasts? _casts;

    private protected DistributedModel(
        nn.Module module, ParallelConfiguration configuration, SessionGroups groups, Device device, Func<string, bool>? isUnit,
        ModelDivision division)
    {
        (Root, Configuration, Pipeline) = (module, configuration, division.Pipeline);
        (TensorParallelism, Layouts, _tensorRanks) = (division.Tensor, division.Layouts, groups.Tensor);
        var held = Pipeline?.Model.Held ?? module;
        _replicas = new ReplicaSynchronizer(held, groups.ReducedData);
        _replicas.BroadcastParameters();
        _replicas.BroadcastBuffers();
        Prediction = Predict(held, configuration, groups.Shard);
        Groups = groups;
        if (PrecisionPolicy.Of(configuration) is { } precision)
            _casts = new ModuleCasts(module, precision);
        _engine = configuration.HasUnits
            ? new ShardedEngine(held, configuration, groups.ReducedData, groups.Shard, groups.Replicate, device, isUnit, _recomputation)
            : new GradientReducer(
                held, groups.ReducedData, (long)(configuration.BucketCapacityMegabytes * 1024 * 1024), configuration.OverlappingAllReduce,
                _recomputation);
        TensorParallelism?.Activate();
        TensorParallelism?.Recomputation = _recomputation;
        Pipeline?.Recomputation = _recomputation;
        _activations = ActivationsOf(configuration, groups.ReducedData);
    }

    private protected nn.Module Root { get; }

    private protected ParallelConfiguration Configuration { get; }

    private protected SessionGroups Groups { get; }

    /// <summary>
    /// The parameters that this rank updates. Where the optimizer's state is sharded, these are the pieces that the rank owns of the model's
    /// parameters: one-dimensional, and empty where other ranks own all of one. They have the gradients, which those of the module do not.
    /// </summary>
    public IEnumerable<Parameter> Parameters => NamedParameters.Select(named => named.Parameter);

    /// <summary>The parameters that this rank updates, with their names in the model.</summary>
    /// <inheritdoc cref="Parameters"/>
    public IEnumerable<(string Name, Parameter Parameter)> NamedParameters => _engine.Parameters;

    /// <summary>Puts the model in training mode: dropout drops, and normalisation learns.</summary>
    public void Train() => Root.train();

    /// <summary>Puts the model in evaluation mode.</summary>
    public void Evaluate() => Root.eval();

    /// <summary>Lets go of all gradients, which gives their memory to the next forward.</summary>
    public void ZeroGradients()
    {
        HasOwnGradients = false;
        _engine.ZeroGradients();
        ZeroTiedGradients();
    }

    /// <summary>
    /// Steps until the result is disposed only add to the gradients, on each rank for itself; the first step after that averages all.
    /// </summary>
    /// <remarks>Gradients of several steps are summed; divide the loss by their number for the mean.</remarks>
    public IDisposable AccumulateGradients() => new Accumulation(this);

    /// <summary>
    /// Makes the module's parameters readable, whole, on every rank until the result is disposed; every rank calls it. For what does not go
    /// through a step or <c>Forward</c> of this model, such as saving, printing or generating with the module on one rank alone. In a pipeline
    /// they are those of this rank's stages.
    /// </summary>
    public IDisposable GatherParameters() =>
        TensorParallelism is { } tensor ? tensor.GatherParameters(_engine.GatherParameters()) : _engine.GatherParameters();

    /// <inheritdoc/>
    public void Dispose()
    {
        IsDisposed = true;
        _activations.Dispose();
        TensorParallelism?.Dispose();
        _casts?.Dispose();
        _engine.Dispose();
        Pipeline?.Dispose();
        Root.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>What float16 training scales the loss by, from the model's optimizer; null without one.</summary>
    internal LossScaler? LossScaler { get; set; }

    internal void ScaleLoss(LossScaling? scaling)
    {
        if (!Configuration.Float16)
        {
            if (scaling is not null)
                throw new ArgumentException("Loss scaling is for float16 training; set fp16 to true, or leave lossScaling out.", nameof(scaling));
            return;
        }

        if (LossScaler is not null)
        {
            throw new InvalidOperationException(
                "The model has an optimizer already, whose loss scale would be this one's as well. float16 training takes one optimizer; give "
                + "it parameter groups, or dispose the first.");
        }

        LossScaler = new LossScaler(scaling ?? LossScaling.Dynamic);
    }

    /// <summary>Whether a step added to the gradients of this rank that no step has averaged over the ranks yet.</summary>
    internal bool HasOwnGradients { get; private set; }

    internal bool IsDisposed { get; private set; }

    /// <summary>What steps take for a time.</summary>
    internal StepMemory StepMemory { get; } = new();

    /// <summary>Called at the end of each step; null for nothing.</summary>
    internal Action? StepEnded { get; init; }

    /// <summary>What this rank holds of the model now.</summary>
    internal HeldState Held => _engine.Held;

    /// <summary>What this rank will hold of the model.</summary>
    internal StatePrediction Prediction { get; }

    internal ProcessGroup? Shards => _engine.Shards;

    internal double? GradientClipping => Configuration.ShardedGradientClipping;

    /// <summary>Ranks that hold the same parameters and see different samples.</summary>
    private protected ProcessGroup Replicas => _engine.Group;

    /// <summary>All ranks of the session.</summary>
    internal ProcessGroup AllRanks => Groups.World;

    internal bool ReducesOver(ProcessGroup group) => ReferenceEquals(_engine.Group, group);

    internal void RequireSuitable(optim.Optimizer optimizer)
    {
        if (TensorRanks is not null && optimizer is LBFGS)
        {
            throw new NotSupportedException(
                "LBFGS takes inner products over all parameters, of which a tensor-parallel rank has parts. Use an optimizer that treats every element "
                + "by itself, such as AdamW.");
        }

        _engine.RequireSuitable(optimizer);
    }

    internal void Update(Action update) => _engine.Update(update);

    private static StatePrediction Predict(nn.Module module, ParallelConfiguration configuration, ProcessGroup shard)
    {
        var compute = PrecisionPolicy.Of(configuration)?.Compute;
        if (!configuration.ShardsState)
            return new StatePrediction(module, shards: 1, wholeBelow: 0, compute);
        var wholeBelow = shard.SharesMemory ? 0
            : configuration.ReleasesParameters ? configuration.ShardedPersistenceThreshold
            : long.MaxValue;
        return new StatePrediction(module, shard.Size, wholeBelow, compute);
    }
}
