using ShardSharp.Communication;
using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.DataParallel.Sharding;

/// <summary>Memory of the host, which the ranks share where they can; elsewhere each has all of it, and its pages come and go.</summary>
internal sealed class HostUnitMemory : IUnitMemory
{
    private readonly SharedMemory _memory;
    private readonly long _sliceStart;
    private readonly long _sliceBytes;
    private readonly FlatLayout _layout;
    private readonly bool _isShared;
    private bool _isReleased;

    /// <param name="layout">Where parameters and slices lie.</param>
    /// <param name="shard">Ranks that each own a slice.</param>
    /// <param name="type">Type of the elements.</param>
    public HostUnitMemory(FlatLayout layout, ProcessGroup shard, ScalarType type)
    {
        var size = ElementTypes.SizeOf(type);
        (_layout, _isShared) = (layout, shard.SharesMemory);
        (_sliceStart, _sliceBytes) = (shard.Rank * layout.SliceLength * size, layout.SliceLength * size);
        var bytes = Math.Max(layout.Length * size, 1);
        _memory = shard.SharesMemory ? shard.AllocateShared(bytes) : SharedMemory.Private(bytes);
        Whole = _memory.View(0, [layout.Length], type).DetachFromDisposeScope();
        Slice = _memory.View(_sliceStart, [layout.SliceLength], type).DetachFromDisposeScope();
    }

    public Tensor Whole { get; }

    public Tensor Slice { get; }

    /// <summary>This rank's share of memory that ranks share.</summary>
    public long Elements => _isShared || _isReleased ? _layout.SliceLength : _layout.Length;

    public void Release()
    {
        _isReleased = true;
        _memory.Discard(0, _sliceStart);
        _memory.Discard(_sliceStart + _sliceBytes, _memory.Length - _sliceStart - _sliceBytes);
    }

    /// <summary>Pages come when they are written to.</summary>
    public void Renew() => _isReleased = false;

    public void Dispose()
    {
        Whole.Dispose();
        Slice.Dispose();
        _memory.Dispose();
    }
}
