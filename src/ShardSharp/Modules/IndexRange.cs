namespace ShardSharp.Modules;

/// <summary>Consecutive indices of one dimension.</summary>
/// <param name="Start">The first of them.</param>
/// <param name="Length">How many they are.</param>
internal readonly record struct IndexRange(long Start, long Length)
{
    /// <summary>The index behind the last.</summary>
    public long End => Start + Length;
}
