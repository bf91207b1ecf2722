using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Stress;

/// <summary>One rank's part of memory that a group shares, for the tensors of one operation; the next one uses it again at once.</summary>
/// <param name="memory">The memory of the group.</param>
/// <param name="rank">The rank of the group.</param>
internal sealed class StressArena(SharedMemory memory, int rank)
{
    /// <summary>Bytes of each rank; operations that need more take ordinary memory.</summary>
    public const long BytesPerRank = 4 << 20;

    private const int Alignment = 64;

    private long _used;

    /// <summary>A tensor of one dimension in it; null if there is no room left.</summary>
    public Tensor? TryCreate(long count, ScalarType type)
    {
        var bytes = ((count * ElementTypes.SizeOf(type)) + Alignment - 1) / Alignment * Alignment;
        if (_used + bytes > BytesPerRank)
            return null;
        var offset = (rank * BytesPerRank) + _used;
        _used += bytes;
        return memory.View(offset, [count], type);
    }
}
