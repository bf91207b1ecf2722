using ShardSharp.Activations;
using ShardSharp.Modules;
using ShardSharp.Native;
using ShardSharp.TensorParallel.Styles;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Automatic;

/// <summary>
/// Which modules draw random numbers in their own code, as <c>nn.functional.dropout</c> does, rather than by a dropout module: no hook sees such calls, so
/// that ranks would draw the same where they have different features.
/// </summary>
internal sealed class RandomDraws : IDisposable
{
    private readonly List<(Moment Moment, string Name)> _events = [];
    private readonly Stack<(string Name, bool IsDropout)> _current = [];
    private RandomState _state = new();

    private enum Moment
    {
        Begin,
        Draw,
        End,
    }

    /// <summary>Runs one forward in training mode on this rank alone; null where that cannot be.</summary>
    /// <param name="root">The model, whole. Its buffers and the random numbers stay as they are.</param>
    /// <param name="example">What to call it with.</param>
    public static RandomDraws? Record(nn.Module root, object?[] example)
    {
        // Ranks that are threads may share a generator, in which others draw meanwhile.
        using var own = ThreadGenerators.TryUse(0);
        if (own is null)
            return null;
        var draws = new RandomDraws();
        var hooks = new List<ModuleHooks>();
        using var scope = NewDisposeScope();
        var state = random.get_rng_state();
        var buffers = root.buffers().Select(buffer => (Buffer: buffer, Before: buffer.clone())).ToArray();
        try
        {
            foreach (var (name, module) in ModuleTree.Walk(root).DistinctBy(below => (object)below.Module, ReferenceEqualityComparer.Instance))
            {
                if (ModuleTree.IsCalled(module))
                    hooks.Add(new ModuleHooks(module, given => draws.Begin(name, module, given), draws.End, outermost: true));
            }

            ModuleCall.Evaluate(root, () => ModuleCall.Run(root, example), training: true);
            return draws;
        }
        catch (Exception)
        {
            // The example was a guess, as for the plan's check.
            draws.Dispose();
            return null;
        }
        finally
        {
            hooks.ForEach(hook => hook.Dispose());
            using var unrecorded = no_grad();
            random.set_rng_state(state);
            Array.ForEach(buffers, each => each.Buffer.copy_(each.Before));
        }
    }

    /// <summary>Says which module draws where ranks have different values; null for none.</summary>
    /// <param name="context">The divided model.</param>
    public string? Problem(TensorParallelContext context)
    {
        string? column = null;
        foreach (var (moment, name) in _events)
        {
            var style = context.Styles.GetValueOrDefault(name);
            if (moment == Moment.Draw && (column is not null || context.SequenceParallel))
            {
                var where = column is null ? "where sequences are divided" : $"behind '{column}', where features are divided";
                return $"{(name.Length == 0 ? "The model" : $"Module '{name}'")} draws random numbers in its own code, {where}: nn.functional.dropout, or dropout as "
                    + "an argument of scaled_dot_product_attention. All ranks would draw the same. Use a module, nn.Dropout, and give it the style "
                    + "SharedParameters between divided layers, SequenceParallel elsewhere.";
            }

            if (moment == Moment.End && style is ColumnParallel { GathersOutput: false, IsInner: false })
                column = name;
            else if (moment == Moment.Begin && style is RowParallel { IsInner: false })
                column = null;
        }

        return null;
    }

    public void Dispose() => _state.Dispose();

    private object?[] Begin(string name, nn.Module module, object?[] given)
    {
        Look();
        _current.Push((name, module is Dropout));
        _events.Add((Moment.Begin, name));
        return given;
    }

    private object? End(object? returned)
    {
        Look();
        _events.Add((Moment.End, _current.Pop().Name));
        return returned;
    }

    private void Look()
    {
        if (!_state.HasAdvanced)
            return;
        _state.Dispose();
        _state = new RandomState();
        if (_current.TryPeek(out var current) && !current.IsDropout)
            _events.Add((Moment.Draw, current.Name));
    }
}
