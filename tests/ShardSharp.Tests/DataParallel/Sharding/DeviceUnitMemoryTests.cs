using ShardSharp.DataParallel.Sharding;
using ShardSharp.Modules;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel.Sharding;

/// <summary>What a unit's memory does on a GPU, from libtorch's allocator for the CPU.</summary>
public sealed class DeviceUnitMemoryTests
{
    private const long Elements = 1 << 20;

    private static readonly FlatLayout Layout = new([Elements], slices: 4, alignment: 16);

    [Fact]
    public void The_slice_stays_when_the_rest_is_released()
    {
        using var memory = new DeviceUnitMemory(Layout, rank: 1, ScalarType.Float32, CPU, isReleased: true);
        memory.Slice.fill_(1);
        memory.Release();
        memory.Release();
        Assert.Equal((Elements / 4, 0), (memory.Elements, TensorMemory.DataPointer(memory.Whole)));
        Assert.Equal(Elements / 4, memory.Slice.sum().item<float>());
        memory.Renew();
        memory.Renew();
        Assert.Equal(Elements * 5 / 4, memory.Elements);
        Assert.NotEqual(0, TensorMemory.DataPointer(memory.Whole));
    }

    [Fact]
    public void A_slice_that_is_never_released_is_a_part_of_the_whole()
    {
        using var memory = new DeviceUnitMemory(Layout, rank: 1, ScalarType.BFloat16, CPU, isReleased: false);
        memory.Slice.fill_(1);
        Assert.Equal(Elements / 4, memory.Whole.to_type(ScalarType.Float32).sum().item<float>());
        Assert.Equal(Elements, memory.Elements);
    }

    [Fact]
    public void Views_find_what_was_written_to_the_new_room()
    {
        using var scope = NewDisposeScope();
        using var memory = new DeviceUnitMemory(Layout, rank: 0, ScalarType.Float32, CPU, isReleased: true);
        var view = memory.Whole.narrow(0, 5, 10).detach();
        memory.Release();
        memory.Renew();
        memory.Whole.fill_(3);
        Assert.Equal(30, view.sum().item<float>());
    }
}
