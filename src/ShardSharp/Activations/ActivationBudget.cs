using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>
/// Keeps the activations of a model's layers within a budget: the first step measures the layers, the second is the first by the plan, and compared
/// with it.
/// </summary>
internal sealed class ActivationBudget : IDisposable
{
    private readonly nn.Module _root;
    private readonly (string Name, nn.Module Module)[] _layers;
    private readonly long _bytes;
    private readonly ProcessGroup _group;
    private readonly Recomputation _recomputation;
    private readonly List<LayerScope> _scopes = [];
    private LayerMeasurement? _measurement;
    private PlanObservation? _observation;

    /// <param name="root">The model.</param>
    /// <param name="layers">The layers to choose from.</param>
    /// <param name="bytes">The budget.</param>
    /// <param name="group">Ranks that decide alike.</param>
    /// <param name="recomputation">What the model's regions share.</param>
    public ActivationBudget(
        nn.Module root, IEnumerable<(string Name, nn.Module Module)> layers, long bytes, ProcessGroup group, Recomputation recomputation)
    {
        (_root, _layers, _bytes, _group, _recomputation) = (root, [.. layers], bytes, group, recomputation);
        _measurement = new LayerMeasurement(_layers);
    }

    /// <summary>The plan; null before the end of the first step.</summary>
    public ActivationPlan? Plan { get; private set; }

    /// <summary>Told the plan when it is made, and again when it has been compared with a step; null for nobody.</summary>
    public Action<ActivationPlan>? Reported { get; set; }

    public void BeginStep()
    {
        if (Plan is { MeasuredBytes: null } && _observation is null)
            _observation = new PlanObservation(_root, _layers[0].Module, _layers[^1].Module, _recomputation);
    }

    public void EndStep(ActivationCheckpointing checkpointing, int microbatches)
    {
        if (_measurement is not null)
        {
            Plan = ActivationPlanner.Best(AgreedCosts(_measurement.Costs), _bytes);
            _measurement.Dispose();
            _measurement = null;
            Follow(checkpointing);
            Reported?.Invoke(Plan);
            return;
        }

        if (_observation is null)
            return;
        Plan!.MeasuredBytes = _observation.Bytes;
        Plan.MeasuredTime = _observation.Time / microbatches;
        _observation.Dispose();
        _observation = null;
        Reported?.Invoke(Plan);
    }

    public void Dispose()
    {
        _measurement?.Dispose();
        _observation?.Dispose();
        _scopes.ForEach(scope => scope.Dispose());
    }

    private void Follow(ActivationCheckpointing checkpointing)
    {
        for (var i = 0; i < Plan!.Layers.Count; i++)
        {
            var layer = _layers.Single(layer => layer.Name == Plan.Layers[i].Name);
            if (Plan.IsCheckpointed[i])
                checkpointing.Set([layer], CheckpointStrategy.Each, preservesRandomState: true);
            else
                _scopes.Add(new LayerScope(layer.Module));
        }
    }

    /// <summary>The largest costs that any rank has measured, so that all decide alike.</summary>
    private List<LayerCost> AgreedCosts(IReadOnlyList<LayerCost> measured)
    {
        double[] values = [.. measured.SelectMany(cost => new[] { cost.Kept, cost.Returned, cost.Forward.TotalSeconds })];
        _group.AllReduce(values.AsSpan(), ReduceOperation.Max);
        return
        [
            .. measured.Select((cost, i) => new LayerCost(
                cost.Name, (long)values[3 * i], (long)values[(3 * i) + 1], TimeSpan.FromSeconds(values[(3 * i) + 2]))),
        ];
    }
}
