using static TorchSharp.torch;

namespace ShardSharp.DataParallel.Sharding;

/// <summary>A module whose parameters are gathered for each use.</summary>
/// <param name="units">Its units: one for each element type, and one of what is frozen.</param>
internal sealed class GatheredModule(IReadOnlyList<UnitGathering> units)
{
    /// <summary>The module.</summary>
    public nn.Module Module => units[0].Unit.Unit.Module;

    /// <summary>Its units.</summary>
    public IReadOnlyList<UnitGathering> Units => units;

    /// <summary>Elements of all its units.</summary>
    public long Elements { get; } = units.Sum(unit => unit.Unit.Layout.Length);

    /// <summary>Whether it is gathered, or about to be.</summary>
    public bool IsWhole => units[0].IsWhole;

    /// <summary>The module that was called after it.</summary>
    public GatheredModule? Next { get; set; }

    /// <summary>The module that was called before it.</summary>
    public GatheredModule? Previous { get; set; }

    /// <summary>Begins to gather its parameters, in the background.</summary>
    public void Begin()
    {
        foreach (var unit in units)
            unit.Begin();
    }

    /// <summary>Waits until its parameters can be used.</summary>
    public void Await()
    {
        Begin();
        foreach (var unit in units)
            unit.Await();
    }

    /// <summary>Lets go of what other ranks own of its parameters.</summary>
    public void Release()
    {
        foreach (var unit in units)
            unit.Release();
    }
}
