using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Optimizers;

/// <summary>
/// The step of a TorchSharp optimizer in one call of a fused kernel per parameter group instead of several operators per parameter.
/// </summary>
/// <remarks>
/// The state stays the optimizer's own and is changed in place, and its options are read anew at every step, so that saving, loading,
/// schedulers and even plain steps in between work as ever.
/// </remarks>
internal abstract class FusedStep(OptimizerHelper optimizer)
{
    /// <summary>The fused step of an optimizer; null where there is none, as for subclasses, which may step differently.</summary>
    public static FusedStep? Of(optim.Optimizer optimizer) => optimizer switch
    {
        Adam adam when adam.GetType() == typeof(Adam) => new FusedAdam(adam),
        AdamW adam when adam.GetType() == typeof(AdamW) => new FusedAdam(adam),
        SGD sgd when sgd.GetType() == typeof(SGD) => new FusedSgd(sgd),
        _ => null,
    };

    /// <summary>Updates every parameter that has a gradient, or none if the kernels cannot take one of them.</summary>
    /// <returns>Whether the step is done.</returns>
    public bool TryRun()
    {
        using var gradients = no_grad();
        using var scope = NewDisposeScope();
        var groups = Groups();
        if (groups.Any(group => group.Slots.Any(slot => !slot.IsPlain || Tensors(slot.State).Any(tensor => !tensor.is_contiguous()))))
            return false;
        foreach (var (options, slots) in groups)
        {
            if (slots.Count > 0)
                Update(options, slots);
        }

        return true;
    }

    /// <summary>The tensors of a parameter's state that the kernel walks.</summary>
    protected abstract IEnumerable<Tensor> Tensors(OptimizerState state);

    /// <summary>Updates the parameters of one group.</summary>
    /// <param name="options">The group's options.</param>
    /// <param name="slots">At least one.</param>
    protected abstract void Update(OptimizerOptions options, IReadOnlyList<ParameterSlot> slots);

    private List<(OptimizerOptions Options, List<ParameterSlot> Slots)> Groups()
    {
        // state_dict is where TorchSharp gives its state away: references, group by group, in the order of the parameters.
        var dictionary = optimizer.state_dict();
        using var states = ((IEnumerable<OptimizerState>)dictionary.State).GetEnumerator();
        var groups = new List<(OptimizerOptions, List<ParameterSlot>)>();
        foreach (var (group, options) in optimizer.ParamGroups.Cast<ParamGroup>().Zip(dictionary.Options))
        {
            var slots = new List<ParameterSlot>();
            foreach (var parameter in group.Parameters)
            {
                states.MoveNext();
                if (parameter.grad is { } gradient)
                    slots.Add(new ParameterSlot(parameter, gradient, states.Current));
            }

            groups.Add((options, slots));
        }

        return groups;
    }
}
