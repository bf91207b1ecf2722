using ShardSharp.Communication;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Automatic;

/// <summary>Which modules drew random numbers in their own code, in one forward in training mode.</summary>
internal sealed class RandomDraws
{
    private readonly List<(DrawMoment Moment, string Name)> _events = [];

    /// <summary>Whether what this rank draws can be told from what others do: ranks that are threads may share a generator.</summary>
    public static bool CanTell(ProcessGroup group) => !group.IsWithinProcess || ThreadGenerators.IsInUse;

    /// <summary>Runs one forward in training mode on this rank alone; null where that cannot be.</summary>
    /// <param name="root">The model, whole. Its buffers and the random numbers stay as they are.</param>
    /// <param name="example">What to call it with.</param>
    /// <param name="group">The ranks; null where it is known that no others compute now.</param>
    public static RandomDraws? Record(nn.Module root, object?[] example, ProcessGroup? group)
    {
        using var own = ThreadGenerators.TryUse(0);
        if (own is null && group is not null && !CanTell(group))
            return null;
        var draws = new RandomDraws();
        using var scope = NewDisposeScope();
        var state = random.get_rng_state();
        var buffers = root.buffers().Select(buffer => (Buffer: buffer, Before: buffer.clone())).ToArray();
        var hooks = new DrawHooks(root, (moment, name) => draws._events.Add((moment, name)));
        try
        {
            var call = new Modules.ModuleCall(root);
            Evaluation.Run(root, () => call.Invoke(call.Fitting(example)), training: true);
            return draws;
        }
        catch (Exception)
        {
            // Whoever made the example up may have been wrong, and a model may compute in evaluation alone. It is watched then.
            return null;
        }
        finally
        {
            hooks.Dispose();
            using var unrecorded = no_grad();
            random.set_rng_state(state);
            Array.ForEach(buffers, each => each.Buffer.copy_(each.Before));
        }
    }

    /// <summary>The first module that drew; null for none.</summary>
    public string? First => _events.Where(each => each.Moment == DrawMoment.Draw).Select(each => each.Name).FirstOrDefault();

    /// <summary>Says which module draws where ranks have different values; null for none.</summary>
    /// <param name="context">The divided model.</param>
    public string? Problem(TensorParallelContext context)
    {
        var rule = new DrawRule(context);
        return _events.Select(each => rule.Next(each.Moment, each.Name)).FirstOrDefault(problem => problem is not null);
    }
}
