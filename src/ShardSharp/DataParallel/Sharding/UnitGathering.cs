using ShardSharp.Communication;

namespace ShardSharp.DataParallel.Sharding;

/// <summary>Brings the slices of a unit together where the ranks share no memory, and lets go of those of other ranks.</summary>
/// <param name="unit">The unit.</param>
/// <param name="group">Ranks that have the slices.</param>
internal sealed class UnitGathering(ShardedUnit unit, ProcessGroup group)
{
    private Work? _work;

    /// <summary>Whether the unit is whole, or will be when what is under way has ended.</summary>
    public bool IsWhole { get; private set; } = !unit.IsHidden;

    /// <summary>The unit.</summary>
    public ShardedUnit Unit => unit;

    /// <summary>Begins to gather what is not there, in the background.</summary>
    public void Begin()
    {
        if (IsWhole)
            return;
        IsWhole = true;
        Gather();
    }

    /// <summary>Begins to gather anew what other ranks have updated.</summary>
    public void Refresh()
    {
        if (IsWhole)
            Gather();
    }

    /// <summary>Waits until the module's parameters can be used.</summary>
    public void Await()
    {
        Begin();
        if (_work is null)
            return;
        _work.Wait();
        _work = null;
        unit.Show();
    }

    /// <summary>Lets go of what other ranks own; the module's parameters are empty until they are gathered again.</summary>
    public void Release()
    {
        if (!IsWhole)
            return;
        Await();
        unit.Hide();
        IsWhole = false;
    }

    private void Gather()
    {
        unit.Renew();
        _work = group.AllGatherAsync(unit.Whole, unit.Slice);
    }
}
