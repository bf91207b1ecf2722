using ShardSharp.Activations;
using ShardSharp.Communication;
using ShardSharp.Modules;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp;

public abstract partial class DistributedModel
{
    private readonly Recomputation _recomputation = new();
    private readonly ActivationCheckpointing _activations;

    /// <summary>
    /// Has a module keep only what it is called with, and compute everything else again in backward (SMP: <c>set_activation_checkpointing</c>).
    /// </summary>
    /// <remarks>
    /// Gradients are the same, bit for bit. The module may take and return tensors in tuples, records, arrays, lists and dictionaries; it must be
    /// called through <c>call</c>, and must not write to its inputs. Inside a checkpointed module others can be checkpointed too. All ranks
    /// checkpoint the same modules.
    /// </remarks>
    /// <param name="module">A module of this model. Of a <c>Sequential</c>, a <c>ModuleList</c> or a <c>ModuleDict</c> the members are
    /// checkpointed.</param>
    /// <param name="strategy">Which members of a list are checkpointed together; each for itself if null.</param>
    /// <param name="preserveRandomState">Whether random numbers, as in dropout, are the same when the module computes again.</param>
    /// <exception cref="ArgumentException">The module is none of this model, is never called, or cannot be divided.</exception>
    public void SetActivationCheckpointing(nn.Module module, CheckpointStrategy? strategy = null, bool preserveRandomState = true)
    {
        ArgumentNullException.ThrowIfNull(module);
        _activations.Set(module, strategy ?? CheckpointStrategy.Each, preserveRandomState);
    }

    /// <summary>The same for modules by their names in the model.</summary>
    /// <param name="names">Names separated by commas, with <c>*</c> for any characters but a dot, <c>**</c> for any, as <c>blocks.*</c>; <c>layers</c> for all members
    /// of lists. Members that follow one another in a list are grouped by the strategy.</param>
    /// <param name="strategy">Which of them are checkpointed together; each for itself if null.</param>
    /// <param name="preserveRandomState">Whether random numbers, as in dropout, are the same when a module computes again.</param>
    /// <exception cref="ArgumentException">A name fits no module, or one that is never called.</exception>
    public void SetActivationCheckpointing(string names, CheckpointStrategy? strategy = null, bool preserveRandomState = true)
    {
        ArgumentNullException.ThrowIfNull(names);
        _activations.Set(names, strategy ?? CheckpointStrategy.Each, preserveRandomState);
    }

    /// <summary>Has a module keep its activations again; if it was checkpointed together with others, they do so as well.</summary>
    /// <param name="module">A module.</param>
    public void ClearActivationCheckpointing(nn.Module module)
    {
        ArgumentNullException.ThrowIfNull(module);
        _activations.Clear(module);
    }

    /// <summary>
    /// Which layers are checkpointed to stay within <c>activation_memory_budget_mb</c>, from the end of the first step on; null without a budget.
    /// The step after that compares it with what it takes.
    /// </summary>
    public ActivationPlan? ActivationPlan => _activations.Budget?.Plan;

    /// <summary>Tells the plan when it is made and when it has been compared.</summary>
    internal void ReportActivationPlan(Action<ActivationPlan> report)
    {
        if (_activations.Budget is { } budget)
            budget.Reported = report;
    }

    /// <summary>Whether a module is one of the model.</summary>
    internal bool Holds(nn.Module module) => ModuleTree.Walk(Root).Any(below => ReferenceEquals(below.Module, module));

    /// <summary>What the regions of this model share, for regions that the program makes itself.</summary>
    internal Recomputation Recomputation => _recomputation;

    /// <inheritdoc cref="ActivationCheckpointing.ProductsOfCall"/>
    internal KeptProducts? ProductsOfCall(IReadOnlyList<nn.Module> modules, CheckpointStrategy strategy) => _activations.ProductsOfCall(modules, strategy);

    private ActivationCheckpointing ActivationsOf(ParallelConfiguration configuration, ProcessGroup replicas)
    {
        var offloading = configuration.OffloadActivations
            ? new ActivationOffloading(configuration.ActivationOffloadingFolder, configuration.ActivationLoadingHorizon, replicas.Devices)
            : null;
        var activations = new ActivationCheckpointing(Root, _recomputation, offloading) { StageOf = Pipeline is { } pipeline ? pipeline.Model.StageOf : null };
        if (configuration is { ActivationCheckpointing: { } candidates, ActivationMemoryBudgetMegabytes: { } budget })
            activations.Budget = BudgetOf(candidates, budget, replicas);
        else if (configuration.ActivationCheckpointing is { } names)
        {
            var strategy = configuration.ActivationCheckpointingKept is { } kept
                ? CheckpointStrategy.Keeping(kept) : CheckpointStrategy.Parse(configuration.ActivationCheckpointingStrategy);
            activations.Set(names, strategy, preservesRandomState: true);
        }

        return activations;
    }

    /// <summary>Has the layers that a pattern names be checkpointed so that they stay within a budget, in MiB.</summary>
    internal void SetActivationBudget(string names, double megabytes) => _activations.Budget = BudgetOf(names, megabytes, Groups.ReducedData);

    private ActivationBudget BudgetOf(string names, double megabytes, ProcessGroup replicas) =>
        new(Root, ModuleSelection.Runs(Root, names).SelectMany(run => run), (long)(megabytes * 1024 * 1024), replicas, _recomputation);
}
