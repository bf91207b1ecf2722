using ShardSharp.Activations;
using ShardSharp.Communication;
using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.DataParallel.Sharding;

/// <summary>
/// Has the parameters of each module gathered while it computes, forward and backward, where the ranks of a shard group share no memory.
/// </summary>
/// <remarks>
/// <para>Hooks gather before a module's forward and release after it. A marker on what the module returns tells when backward comes to the
/// module, one on what it was called with when backward has left it: on the CPU autograd runs the nodes of a graph in the reverse of the order
/// in which they were made (torch/csrc/autograd/engine.cpp, a queue ordered by sequence number). While a module computes, the one that
/// followed it last time is gathered.</para>
/// <para>What no marker tells of stays gathered until backward is over: modules that return records, modules called with no tensor that
/// needs a gradient. Parameters that belong to no unit below the model itself are always gathered.</para>
/// <para>All ranks must call the modules in the same order. Gathers have a group of their own, so that their order is independent of that of
/// reductions, which depends on when gradients are complete.</para>
/// </remarks>
internal sealed class ParameterGathering : IDisposable
{
    private readonly ProcessGroup _group;
    private readonly UnitGathering[] _resident;
    private readonly GatheredModule[] _modules;
    private readonly List<ModuleHooks> _hooks = [];
    private readonly Action<Action> _guard;
    private readonly long _maximumLive;
    private readonly Recomputation? _recomputation;
    private GatheredModule? _latest;
    private int _pins;

    /// <param name="units">The units of a model, in the order of backward.</param>
    /// <param name="group">Ranks that have the slices; owned from now on.</param>
    /// <param name="maximumLive">Elements up to which to gather ahead.</param>
    /// <param name="guard">Runs what backward causes, and keeps what it throws.</param>
    /// <param name="recomputation">Tells when a module computes for a backward that follows at once; null where none does.</param>
    public ParameterGathering(
        IEnumerable<ShardedUnit> units, ProcessGroup group, long maximumLive, Action<Action> guard, Recomputation? recomputation = null)
    {
        (_group, _maximumLive, _guard, _recomputation) = (group, maximumLive, guard, recomputation);
        var released = units.ToLookup(unit => unit.IsReleased);
        _resident = [.. released[false].Select(unit => new UnitGathering(unit, group))];
        _modules =
        [
            .. released[true].GroupBy(unit => unit.Unit.Module)
                .Select(own => new GatheredModule([.. own.Select(unit => new UnitGathering(unit, group))])),
        ];
        foreach (var module in _modules)
            _hooks.Add(new ModuleHooks(module.Module, given => Enter(module, given), returned => Leave(module, returned)));
    }

    /// <summary>Whether some parameter cannot be read now.</summary>
    public bool HasReleased => _modules.Any(module => !module.IsWhole);

    /// <summary>Elements that are gathered for a use, or about to be.</summary>
    public long Live => _modules.Where(module => module.IsWhole).Sum(module => module.Elements);

    /// <summary>Releases what was gathered for backward and not released since.</summary>
    public void EndBackward() => ReleaseAll();

    /// <summary>Releases what the optimizer's update is about to make stale.</summary>
    public void BeginUpdate() => ReleaseAll();

    /// <summary>Gathers anew what is always gathered.</summary>
    public void EndUpdate()
    {
        var stale = _resident.Concat(_modules.Where(module => module.IsWhole).SelectMany(module => module.Units)).ToArray();
        foreach (var unit in stale)
            unit.Refresh();
        foreach (var unit in stale)
            unit.Await();
    }

    /// <summary>Keeps everything gathered until the result is disposed.</summary>
    public IDisposable GatherAll()
    {
        _pins++;
        foreach (var module in _modules)
            module.Begin();
        foreach (var module in _modules)
            module.Await();
        return new ReadableParameters(() =>
        {
            _pins--;
            ReleaseAll();
        });
    }

    public void Dispose()
    {
        foreach (var hook in _hooks)
            hook.Dispose();
        _group.Dispose();
    }

    private object?[] Enter(GatheredModule module, object?[] given)
    {
        module.Await();
        if (_latest is { } before && before != module)
            (before.Next, module.Previous) = (module, before);
        _latest = module;
        GatherAhead(module.Next);
        return is_grad_enabled() ? [.. given.Select(argument => Marked(argument, () => _guard(() => Release(module)), out _))] : given;
    }

    private object? Leave(GatheredModule module, object? returned)
    {
        if (!is_grad_enabled())
        {
            Release(module);
            return returned;
        }

        var marked = Marked(returned, () => _guard(() => EnterBackward(module)), out var complete);

        // What computes again is about to be needed once more: one gather serves both.
        if (complete && !(_recomputation is { IsUnderWay: true } && Live <= _maximumLive))
            Release(module);
        return marked;
    }

    private void EnterBackward(GatheredModule module)
    {
        module.Await();
        GatherAhead(module.Previous);
        _latest = null;
    }

    private void GatherAhead(GatheredModule? module)
    {
        if (module is { IsWhole: false } && Live + module.Elements <= _maximumLive)
            module.Begin();
    }

    private void Release(GatheredModule module)
    {
        if (_pins == 0)
            module.Release();
    }

    private void ReleaseAll()
    {
        _latest = null;
        foreach (var module in _modules)
            Release(module);
    }

    private static object? Marked(object? value, Action passed, out bool complete)
    {
        complete = true;
        return TensorParts.Replace(value, tensor => tensor.requires_grad ? BackwardMarker.Mark(tensor, passed) : tensor, ref complete);
    }
}
