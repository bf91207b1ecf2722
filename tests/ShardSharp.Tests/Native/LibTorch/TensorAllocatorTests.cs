using System.Runtime.InteropServices;
using ShardSharp.Native;
using ShardSharp.Tests.DataParallel;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Native;

[Collection(nameof(WholeProcess))]
public sealed unsafe class TensorAllocatorTests
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
    [InlineData(AllocatorCode.SmallestBlock - 1)]
    [InlineData(AllocatorCode.SmallestBlock)]
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
        nint[] holes = [.. freed.Select(TensorMemory.DataPointer)];
        foreach (var tensor in freed)
            tensor.Dispose();

        // Not at the same place, because holes merge with those of the tensors' small parts beside them.
        const nint Near = 4096;
        var reused = freed.Select(_ => TensorMemory.DataPointer(Block())).Count(place => holes.Any(hole => nint.Abs(place - hole) < Near));

        // libtorch's own allocator uses none again.
        Assert.True(reused > holes.Length / 2, $"{reused} of {holes.Length} holes were used again.");

        // Below the size that glibc maps on its own (128 KiB), so that it comes from the heap.
        static Tensor Block() => empty(100 * 1024, ScalarType.Byte);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(5)]
    public void The_hole_of_a_large_tensor_fits_the_small_ones_that_have_as_many_elements(int parts)
    {
        TensorAllocator.Install();
        using var scope = NewDisposeScope();

        // Whatever other tests have left of holes as large as that is filled first; nothing is written to these, so they take no memory.
        Tensor[] elsewhere = [.. Enumerable.Range(0, 100).Select(_ => empty(5 * Megabyte, ScalarType.Byte))];
        var large = empty(parts * 5 * Megabyte, ScalarType.Byte);
        using var behind = empty(Megabyte, ScalarType.Byte);
        var (start, end) = (TensorMemory.DataPointer(large), TensorMemory.DataPointer(large) + (nint)(parts * 5 * Megabyte));
        large.Dispose();
        var inside = Enumerable.Range(0, parts).Select(_ => empty(5 * Megabyte, ScalarType.Byte)).Count(small =>
            TensorMemory.DataPointer(small) >= start && TensorMemory.DataPointer(small) < end);
        Assert.Equal(parts, inside);
        GC.KeepAlive(elsewhere);
    }

    [Theory]
    [InlineData(1L << 46)]
    [InlineData((1L << 60) + 1)]
    public void A_tensor_that_no_memory_can_hold_is_refused_with_an_exception(long bytes)
    {
        TensorAllocator.Install();
        Assert.Throws<ExternalException>(() => empty(bytes, ScalarType.Byte));
    }

    [Fact]
    public void Bytes_in_use_and_their_peak_are_counted()
    {
        TensorAllocator.Install();
        var before = TensorAllocator.BytesInUse;
        TensorAllocator.ResetPeak();
        using (var large = empty(8 * Megabyte, ScalarType.Byte))
        {
            Assert.InRange(TensorAllocator.BytesInUse - before, 8 * Megabyte, 9 * Megabyte);
        }

        using (var small = empty(2 * Megabyte, ScalarType.Byte))
        {
            Assert.InRange(TensorAllocator.BytesInUse - before, 2 * Megabyte, 3 * Megabyte);
            Assert.InRange(TensorAllocator.PeakBytes - before, 8 * Megabyte, 9 * Megabyte);
        }

        Assert.Equal(before, TensorAllocator.BytesInUse);
    }

    [Fact]
    public void Tensors_of_one_thread_can_come_from_elsewhere()
    {
        TensorAllocator.Install();
        _given = [];
        Tensor redirected, small;
        using (TensorAllocator.Redirect(&Give, &Take, &Gave))
        {
            redirected = zeros(AllocatorCode.SmallestBlock, ScalarType.Byte);
            small = zeros(AllocatorCode.SmallestBlock - 1, ScalarType.Byte);
            var other = new Thread(() => zeros(Megabyte, ScalarType.Byte).Dispose());
            other.Start();
            other.Join();
        }

        using var after = zeros(Megabyte, ScalarType.Byte);
        Assert.Equal([TensorMemory.DataPointer(redirected)], _given);
        small.Dispose();
        redirected.Dispose();
        Assert.Empty(_given);
    }

    [Fact]
    public void A_refusal_from_elsewhere_is_an_exception_and_no_memory_from_here()
    {
        TensorAllocator.Install();
        using (TensorAllocator.Redirect(&Refuse, &Take, &Gave))
            Assert.Throws<ExternalException>(() => zeros(Megabyte, ScalarType.Byte));
        using var after = zeros(Megabyte, ScalarType.Byte);
    }

    /// <summary>As kernels do that need memory for themselves (c10/core/Allocator.h, raw_allocate).</summary>
    [Theory]
    [InlineData(100, false)]
    [InlineData(AllocatorCode.SmallestBlock + 1, false)]
    [InlineData(4 * Megabyte, false)]
    [InlineData(100, true)]
    [InlineData(4 * Megabyte, true)]
    public void Memory_without_a_tensor_is_its_own_context_and_freed_by_its_address(long bytes, bool isRedirected)
    {
        TensorAllocator.Install();
        _given = [];
        var before = TensorAllocator.BytesInUse;
        var allocator = ((delegate* unmanaged<nint*>)NativeLibrary.GetExport(
            NativeLibrary.Load("c10", typeof(TensorAllocator).Assembly, null), "_ZN3c1015GetCPUAllocatorEv"))();
        var memory = stackalloc nint[4];
        using (isRedirected ? TensorAllocator.Redirect(&Give, &Take, &Gave) : null)
            ((delegate* unmanaged<nint*, nint*, nint, nint*>)((nint*)*allocator)[2])(memory, allocator, (nint)bytes);
        Assert.Equal(memory[0], memory[2]);
        Assert.Equal(0, memory[0] % 64);
        new Span<byte>((void*)memory[0], (int)bytes).Fill(1);
        var free = ((delegate* unmanaged<nint*, nint>)((nint*)*allocator)[4])(allocator);
        ((delegate* unmanaged<nint, void>)free)(memory[0]);
        Assert.Equal(before, TensorAllocator.BytesInUse);
        Assert.Empty(_given);
        ((delegate* unmanaged<nint, void>)free)(0);
    }

    private static bool Gave(nint memory) => _given.Contains(memory);

    private static List<nint> _given = [];

    [UnmanagedCallersOnly]
    private static void* Give(nuint bytes)
    {
        var memory = NativeMemory.AlignedAlloc(bytes, 64);
        _given.Add((nint)memory);
        return memory;
    }

    [UnmanagedCallersOnly]
    private static void* Refuse(nuint bytes) => null;

    [UnmanagedCallersOnly]
    private static void Take(void* memory)
    {
        _given.Remove((nint)memory);
        NativeMemory.AlignedFree(memory);
    }
}
