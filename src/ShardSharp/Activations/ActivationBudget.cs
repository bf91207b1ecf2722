using ShardSharp.Communication;
using ShardSharp.Modules;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>
/// Keeps the activations of a model's layers within a budget: the first step measures the layers, the second what keeping the results of their
/// linear layers saves, where they have any; the next is the first by the plan, and compared with it.
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
    private IReadOnlyList<LayerCost>? _measured;
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

    /// <summary>The plan; null before the end of the first steps, which measure.</summary>
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
            _measured = _measurement.Costs;
            _measurement.Dispose();
            _measurement = null;
            var divisible = _layers.Where(layer => ModuleTree.Walk(layer.Module).Any(below => below.Module is Linear)).ToArray();
            if (divisible.Length == 0)
                Decide(checkpointing);
            else
                checkpointing.Set(divisible, CheckpointStrategy.Selective, preservesRandomState: true);
            return;
        }

        if (_measured is not null)
        {
            Decide(checkpointing);
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

    private void Decide(ActivationCheckpointing checkpointing)
    {
        var costs = _measured!.Select(cost => checkpointing.ProductsOf(ModuleOf(cost.Name)) is { } products
            ? cost with
            {
                Products = products.Cost,
                Forward = cost.Forward - (products.IsLastUnused is true ? cost.LastProduct : TimeSpan.Zero),
            }
            : cost).ToArray();
        _measured = null;
        Plan = ActivationPlanner.Best(AgreedCosts(costs), _bytes);
        Follow(checkpointing);
        Reported?.Invoke(Plan);
    }

    private void Follow(ActivationCheckpointing checkpointing)
    {
        foreach (var (layer, choice) in Plan!.Layers.Zip(Plan.Choices))
        {
            var module = ModuleOf(layer.Name);
            if (choice == LayerChoice.Selective)
                continue; // As it was measured.
            var isLastUnused = checkpointing.ProductsOf(module)?.IsLastUnused;
            checkpointing.Clear(module);
            if (choice == LayerChoice.Keep)
            {
                _scopes.Add(new LayerScope(module));
                continue;
            }

            // What one strategy has found out holds for the other; finding it out again would take memory that the plan does not have.
            checkpointing.Set([(layer.Name, module)], CheckpointStrategy.Each, preservesRandomState: true);
            if (checkpointing.ProductsOf(module) is { } products)
                products.IsLastUnused = isLastUnused;
        }
    }

    private nn.Module ModuleOf(string name) => _layers.Single(layer => layer.Name == name).Module;

    /// <summary>The largest costs that any rank has measured, so that all decide alike.</summary>
    private List<LayerCost> AgreedCosts(IReadOnlyList<LayerCost> measured)
    {
        const double None = -1;
        double[] values =
        [
            .. measured.SelectMany(cost => new[]
            {
                cost.Kept, cost.Returned, cost.Forward.TotalSeconds, cost.Products?.Bytes ?? None, cost.Products?.Time.TotalSeconds ?? None,
            }),
        ];
        _group.AllReduce(values.AsSpan(), ReduceOperation.Max);
        return
        [
            .. measured.Zip(values.Chunk(5)).Select(agreed => new LayerCost(
                agreed.First.Name, (long)agreed.Second[0], (long)agreed.Second[1], TimeSpan.FromSeconds(agreed.Second[2]))
            {
                Products = agreed.Second[3] == None ? null : ((long)agreed.Second[3], TimeSpan.FromSeconds(agreed.Second[4])),
            }),
        ];
    }
}
