using ShardSharp.Modules;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.DataParallel.Sharding;

/// <summary>Memory of a GPU, from libtorch's allocator: where it is released between uses, the slice has memory of its own beside it.</summary>
internal sealed class DeviceUnitMemory : IUnitMemory
{
    private readonly FlatLayout _layout;
    private readonly bool _hasOwnSlice;
    private bool _isReleased;

    /// <param name="layout">Where parameters and slices lie.</param>
    /// <param name="rank">This rank among those that own slices.</param>
    /// <param name="type">Type of the elements.</param>
    /// <param name="device">The GPU.</param>
    /// <param name="isReleased">Whether it is released between uses.</param>
    public DeviceUnitMemory(FlatLayout layout, int rank, ScalarType type, Device device, bool isReleased)
    {
        (_layout, _hasOwnSlice) = (layout, isReleased);
        Whole = zeros([layout.Length], type, device).DetachFromDisposeScope();
        Slice = (isReleased ? zeros([layout.SliceLength], type, device) : Whole.narrow(0, rank * layout.SliceLength, layout.SliceLength))
            .DetachFromDisposeScope();
    }

    public Tensor Whole { get; }

    public Tensor Slice { get; }

    public long Elements => (_hasOwnSlice ? _layout.SliceLength : 0) + (_isReleased ? 0 : _layout.Length);

    public void Release()
    {
        if (_isReleased)
            return;
        _isReleased = true;
        using var nothing = empty(0, Whole.dtype, Whole.device);
        TensorStorage.Exchange(Whole, nothing);
    }

    public void Renew()
    {
        if (!_isReleased)
            return;
        _isReleased = false;
        using var room = empty(_layout.Length, Whole.dtype, Whole.device);
        TensorStorage.Exchange(Whole, room);
    }

    public void Dispose()
    {
        Whole.Dispose();
        Slice.Dispose();
    }
}
