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
    public void The_holes_that_freed_tensors_leave_are_used_again_for_tensors_of_their_size()
    {
        TensorAllocator.Install();
        using var scope = NewDisposeScope();
        Tensor[] tensors = [.. Enumerable.Range(0, 200).Select(_ => Block())];
        Tensor[] freed = [.. tensors.Where((_, i) => i % 2 == 1)];
        HashSet<nint> holes = [.. freed.Select(TensorMemory.DataPointer)];
        foreach (var tensor in freed)
            tensor.Dispose();

        var reused = freed.Count(_ => holes.Contains(TensorMemory.DataPointer(Block())));

        // Not all, because holes merge with those of the tensors' small parts beside them; libtorch's own allocator uses none again.
        Assert.True(reused > holes.Count / 10, $"{reused} of {holes.Count} holes were used again.");

        // Below the size that glibc maps on its own (128 KiB), so that it comes from the heap.
        static Tensor Block() => empty(100 * 1024, ScalarType.Byte);
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
