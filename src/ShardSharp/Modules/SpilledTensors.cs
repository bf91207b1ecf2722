using System.Runtime.InteropServices;
using ShardSharp.Native;

namespace ShardSharp.Modules;

/// <summary>Has tensors lie in a <see cref="SpillFile"/>: those of at least <see cref="AllocatorCode.SmallestBlock"/> that a function makes on its thread.</summary>
/// <param name="file">The file.</param>
internal sealed unsafe class SpilledTensors(SpillFile file)
{
    /// <summary>Whose tensors this thread makes; libtorch's allocator passes no context.</summary>
    [ThreadStatic]
    private static SpilledTensors? _current;

    private Exception? _failure;

    /// <summary>Runs a function whose tensors come from the file. The tensor allocator must be installed.</summary>
    /// <exception cref="IOException">The disk is full, whatever the function made of that.</exception>
    public T Make<T>(Func<T> make)
    {
        using var _ = TensorAllocator.Redirect(&Allocate, &Free, &SpillFile.Owns);
        (_current, _failure) = (this, null);
        try
        {
            var made = make();
            return _failure is null ? made : throw _failure;
        }
        catch (ExternalException) when (_failure is not null)
        {
            throw _failure;
        }
        finally
        {
            _current = null;
        }
    }

    /// <summary>Exceptions cannot pass through libtorch: it gets no memory and throws one of its own, and the cause is kept.</summary>
    [UnmanagedCallersOnly]
    private static void* Allocate(nuint bytes)
    {
        try
        {
            return (void*)_current!.File.Allocate((long)bytes);
        }
        catch (Exception failure)
        {
            _current!._failure ??= failure;
            return null;
        }
    }

    [UnmanagedCallersOnly]
    private static void Free(void* address) => SpillFile.Free((nint)address);

    private SpillFile File => file;
}
