using System.Runtime.InteropServices;
using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>The checkpointed modules of one model on one rank.</summary>
/// <param name="root">The model.</param>
/// <param name="recomputation">What its regions share.</param>
/// <param name="offloading">Where the inputs of its regions wait for backward; null for where they are. Owned from now on.</param>
internal sealed class ActivationCheckpointing(nn.Module root, Recomputation recomputation, ActivationOffloading? offloading) : IDisposable
{
    private readonly List<CheckpointedModule> _modules = [];
    private readonly RegionProducts _products = new(recomputation);

    /// <summary>Which stage of a pipeline calls a module, itself null where stages call only parts of it; null without a pipeline.</summary>
    public Func<nn.Module, int?>? StageOf { get; init; }

    /// <summary>Whether any module is checkpointed, or will be.</summary>
    public bool IsOn => _modules.Count > 0 || Budget is not null;

    /// <summary>What decides which layers are checkpointed, within a budget of memory; null where the user does.</summary>
    public ActivationBudget? Budget { get; set; }

    /// <summary>Checkpoints a module: a list or a <c>Sequential</c> by its members, any other as a whole.</summary>
    /// <exception cref="ArgumentException">It is not one of the model's, or cannot be divided as wanted.</exception>
    public void Set(nn.Module module, CheckpointStrategy strategy, bool preservesRandomState)
    {
        var name = ModuleSelection.NameOf(root, module);
        if (ModuleTree.IsList(module))
        {
            Set([.. module.named_children().Select(child => (ModuleTree.NameOf(name, child.name), child.module))], strategy, preservesRandomState);
            return;
        }

        if (strategy != CheckpointStrategy.Each && !strategy.IsSelective)
        {
            throw new ArgumentException(
                $"Strategy {strategy} divides the members of a Sequential or a ModuleList, but '{name}' is a {module.GetType().Name}; leave the "
                + "strategy out.", nameof(strategy));
        }

        Set([(name, module)], strategy, preservesRandomState);
    }

    /// <summary>Checkpoints the modules that a pattern names.</summary>
    /// <exception cref="ArgumentException">A name fits no module.</exception>
    public void Set(string pattern, CheckpointStrategy strategy, bool preservesRandomState)
    {
        foreach (var run in ModuleSelection.Runs(root, pattern))
            Set(run, strategy, preservesRandomState);
    }

    /// <summary>Checkpoints modules that run one after another.</summary>
    public void Set(IReadOnlyList<(string Name, nn.Module Module)> run, CheckpointStrategy strategy, bool preservesRandomState)
    {
        foreach (var (name, module) in run)
        {
            if (!ModuleTree.IsCalled(module))
                throw new ArgumentException($"'{name}' is a {module.GetType().Name}, which is never called itself; checkpoint what it holds.");
            if (StageOf is not null && StageOf(module) is null)
            {
                throw new ArgumentException(
                    $"'{name}' is cut by the pipeline, whose stages call parts of it; checkpoint what it holds: '{ModuleTree.NameOf(name, "*")}'. Modules that "
                    + "activation_checkpointing names in the configuration are not cut.");
            }

            Clear(module);
        }

        var kept = strategy.IsSelective ? ModuleSelection.Linears(root, strategy.KeptNames) : [];
        foreach (var group in OfOneStage(run).SelectMany(strategy.Divide))
        {
            var options = new CheckpointOptions(preservesRandomState, offloading, _products.Of(group.Select(member => member.Module), kept));
            var name = group.Count == 1 ? group[0].Name : $"{group[0].Name} to {group[^1].Name}";
            _modules.Add(new CheckpointedModule(name, [.. group.Select(member => member.Module)], options, recomputation));
        }
    }

    /// <summary>Modules that follow one another, in parts that one stage calls: no group goes across ranks.</summary>
    private List<List<(string Name, nn.Module Module)>> OfOneStage(IReadOnlyList<(string Name, nn.Module Module)> run)
    {
        var parts = new List<List<(string, nn.Module)>>();
        int? last = null;
        foreach (var member in run)
        {
            var stage = StageOf?.Invoke(member.Module);
            if (parts.Count == 0 || stage != last)
                parts.Add([]);
            parts[^1].Add(member);
            last = stage;
        }

        return parts;
    }

    /// <summary>Keeps a module's activations from now on; whatever group it was in is none any more.</summary>
    public void Clear(nn.Module module)
    {
        foreach (var checkpointed in _modules.Where(checkpointed => checkpointed.Modules.Contains(module)).ToArray())
        {
            checkpointed.Dispose();
            _modules.Remove(checkpointed);
        }
    }

    /// <summary>What modules keep of their products that the program checkpoints with each call; null for nothing.</summary>
    /// <exception cref="ArgumentException">The strategy names no linear layer.</exception>
    public KeptProducts? ProductsOfCall(IReadOnlyList<nn.Module> modules, CheckpointStrategy strategy) => _products.OfCall(root, modules, strategy);

    /// <summary>What a module keeps that is checkpointed selectively; null for others.</summary>
    public KeptProducts? ProductsOf(nn.Module module) => _modules.FirstOrDefault(checkpointed => checkpointed.Modules.Contains(module))?.Products;

    /// <summary>Begins a step.</summary>
    /// <exception cref="InvalidOperationException">There is nothing to offload.</exception>
    public void BeginStep()
    {
        if (offloading is not null && !IsOn)
        {
            throw new InvalidOperationException(
                "offload_activations is true, but no module is checkpointed, and what is offloaded are the inputs of checkpointed modules. Set "
                + "activation_checkpointing, or call SetActivationCheckpointing.");
        }

        Budget?.BeginStep();
    }

    /// <summary>Ends a step.</summary>
    /// <param name="microbatches">How many forwards it has run.</param>
    public void EndStep(int microbatches) => Budget?.EndStep(this, microbatches);

    /// <summary>Runs a forward. A failure in it must not leave a region open, in which no graph is recorded.</summary>
    public T Guard<T>(Func<T> forward)
    {
        try
        {
            return forward();
        }
        catch
        {
            foreach (var module in _modules)
                module.Abandon();
            throw;
        }
    }

    /// <summary>Runs a backward, and throws what failed in a region rather than what autograd makes of it.</summary>
    public void Backward(Action backward)
    {
        try
        {
            backward();
        }
        catch (ExternalException)
        {
            recomputation.ThrowFailure();
            throw;
        }
        finally
        {
            recomputation.LetGo();
            offloading?.EndBackward();
        }

        recomputation.ThrowFailure();
    }

    public void Dispose()
    {
        foreach (var module in _modules)
            module.Dispose();
        _products.Dispose();
        Budget?.Dispose();
        recomputation.LetGo();
        offloading?.Dispose();
    }
}
