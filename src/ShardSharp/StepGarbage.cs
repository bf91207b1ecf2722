namespace ShardSharp;

/// <summary>
/// Collects what steps leave behind in .NET's heap: handles of tensors and other small objects, a few MiB a step. .NET would let them pile up
/// to about the size of the processor's last cache, which is tens of MiB on each rank.
/// </summary>
internal sealed class StepGarbage
{
    private const long Enough = 4 << 20;

    private long _allocated = GC.GetTotalAllocatedBytes();
    private int _collections = GC.CollectionCount(0);

    /// <summary>Collects if much was allocated since the last collection, whoever began that.</summary>
    public void EndStep()
    {
        var allocated = GC.GetTotalAllocatedBytes();
        if (GC.CollectionCount(0) == _collections)
        {
            if (allocated - _allocated < Enough)
                return;
            GC.Collect(0, GCCollectionMode.Forced, blocking: true);
        }

        (_allocated, _collections) = (allocated, GC.CollectionCount(0));
    }
}
