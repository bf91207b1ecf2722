using System.Runtime.InteropServices;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Native;

public sealed class TensorAllocatorTests
{
    private const long Megabyte = 1 << 20;

    public TensorAllocatorTests() => Assert.SkipUnless(
        OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64, "It is for Linux x64.");

    [Fact]
    public void Is_installed_once_and_stays()
    {
        Assert.True(TensorAllocator.Install());
        Assert.True(TensorAllocator.Install());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(TensorAllocator.SmallestBlock - 1)]
    [InlineData(TensorAllocator.SmallestBlock)]
    [InlineData((4 * Megabyte) + 4)]
    [InlineData(40 * Megabyte)]
    public void Tensors_start_on_64_byte_boundaries(long bytes)
    {
        TensorAllocator.Install();
        using var tensor = zeros(bytes, ScalarType.Byte);
        Assert.Equal(0, TensorMemory.DataPointer(tensor) % 64);
        Assert.Equal(0, tensor.count_nonzero().item<long>());
    }

    [Fact]
    public void A_freed_tensors_memory_is_used_again_for_one_of_its_size()
    {
        TensorAllocator.Install();
        const int Attempts = 20;
        // Below the size that glibc maps on its own (128 KiB), so that it comes from the heap.
        const long Bytes = 100 * 1024;
        var reused = 0;
        for (var i = 0; i < Attempts; i++)
        {
            var first = empty(Bytes, ScalarType.Byte);
            using var neighbour = empty(Bytes, ScalarType.Byte);
            var address = TensorMemory.DataPointer(first);
            first.Dispose();
            using var second = empty(Bytes, ScalarType.Byte);
            reused += TensorMemory.DataPointer(second) == address ? 1 : 0;
        }

        // Other tests run beside this one and may now and then take the hole; libtorch's own allocator never uses it.
        Assert.True(reused > Attempts / 2, $"{reused} of {Attempts} tensors took the hole of their size.");
    }

    [Theory]
    [InlineData(1L << 46)]
    [InlineData((1L << 60) + 1)]
    public void A_tensor_that_no_memory_can_hold_is_refused_with_an_exception(long bytes)
    {
        TensorAllocator.Install();
        Assert.Throws<ExternalException>(() => empty(bytes, ScalarType.Byte));
    }
}
