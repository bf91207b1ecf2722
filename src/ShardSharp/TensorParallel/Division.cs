using ShardSharp.Modules;

namespace ShardSharp.TensorParallel;

/// <summary>A length cut into consecutive parts that differ by one at most, the longer ones first.</summary>
/// <param name="Length">The whole length.</param>
/// <param name="Parts">How many parts there are.</param>
internal readonly record struct Division(long Length, int Parts)
{
    /// <summary>Whether all parts have the same length.</summary>
    public bool IsEven => Length % Parts == 0;

    /// <summary>Length of the longest part.</summary>
    public long Longest => (Length + Parts - 1) / Parts;

    /// <summary>The indices of one part; empty where there are more parts than indices.</summary>
    public IndexRange this[int part]
    {
        get
        {
            var (least, longer) = (Length / Parts, Length % Parts);
            return new IndexRange((part * least) + Math.Min(part, longer), least + (part < longer ? 1 : 0));
        }
    }
}
