using TorchSharp.Modules;

namespace ShardSharp.Optimizers;

/// <summary>A parameter of an optimizer with its state, whether it has a gradient or not.</summary>
/// <param name="Group">Index of the parameter group.</param>
/// <param name="Parameter">What the optimizer updates.</param>
/// <param name="State">Its state, the optimizer's own.</param>
internal sealed record OptimizerSlot(int Group, Parameter Parameter, OptimizerState State)
{
    /// <summary>All parameters of an optimizer, group by group.</summary>
    public static IReadOnlyList<OptimizerSlot> Of(OptimizerHelper optimizer)
    {
        // state_dict is where TorchSharp gives its state away: references, group by group, in the order of the parameters.
        using var states = ((IEnumerable<OptimizerState>)optimizer.state_dict().State).GetEnumerator();
        var slots = new List<OptimizerSlot>();
        foreach (var (index, group) in optimizer.ParamGroups.Cast<ParamGroup>().Index())
        {
            foreach (var parameter in group.Parameters)
            {
                states.MoveNext();
                slots.Add(new OptimizerSlot(index, parameter, states.Current));
            }
        }

        return slots;
    }
}
