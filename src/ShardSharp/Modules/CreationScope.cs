using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using ShardSharp.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.Modules;

/// <summary>
/// Remembers which tensors this thread makes until it is disposed, by where their memory is: TorchSharp does not tell when a module is created,
/// but each makes its parameters. Of scopes of one owner the innermost counts; those of different owners know nothing of each other.
/// </summary>
internal sealed unsafe class CreationScope : IDisposable
{
    /// <summary>libtorch frees by address alone, on any thread, long after the scope.</summary>
    private static readonly ConcurrentDictionary<nint, Block> Blocks = new();

    /// <summary>The innermost scope of this thread; libtorch's allocator passes no context.</summary>
    [ThreadStatic]
    private static CreationScope? _current;

    private readonly CreationScope? _outer;
    private readonly TensorAllocator.Redirection _redirection;
    private readonly object _owner;
    private readonly int _number;

    /// <param name="owner">Who asks for the tensors later.</param>
    /// <param name="number">What to remember of them.</param>
    /// <exception cref="PlatformNotSupportedException">libtorch's allocator cannot be replaced here.</exception>
    public CreationScope(object owner, int number)
    {
        if (!TensorAllocator.Install())
        {
            throw new PlatformNotSupportedException(
                "To see what is created in a scope, libtorch's own allocator on Linux x64 is needed, with executable memory allowed. Use the overload "
                + "that creates a module by a function, or set it for the module (session.SetPartition, session.SetTensorParallelism).");
        }

        (_owner, _number, _outer) = (owner, number, _current);
        _redirection = TensorAllocator.Redirect(&Allocate, &Free, &Owns, everySize: true);
        _current = this;
    }

    /// <summary>The number of the innermost scope of an owner in which a tensor was made; null if none.</summary>
    public static int? NumberOf(Tensor tensor, object owner)
    {
        if (tensor.device_type != DeviceType.CPU || !Blocks.TryGetValue(TensorMemory.DataPointer(tensor), out var block))
            return null;
        for (var scope = block.Scope; scope is not null; scope = scope._outer)
        {
            if (ReferenceEquals(scope._owner, owner))
                return scope._number;
        }

        return null;
    }

    /// <summary>The outermost modules all of whose parameters were made in scopes of one number, with that.</summary>
    public static IEnumerable<(nn.Module Module, int Number)> Created(nn.Module root, object owner)
    {
        var numbers = root.parameters().Where(parameter => parameter.numel() > 0).Select(parameter => NumberOf(parameter, owner)).Distinct().ToArray();
        return numbers switch
        {
            [{ } number] => [(root, number)],
            [] or [null] => [],
            _ => root.children().SelectMany(child => Created(child, owner)),
        };
    }

    /// <summary>Ends it, on the thread that began it.</summary>
    public void Dispose()
    {
        if (!ReferenceEquals(_current, this))
            throw new InvalidOperationException("Scopes of session.Partition and session.TensorParallelism end in the opposite order of their beginning, on the thread that began them.");
        _redirection.Dispose();
        _current = _outer;
    }

    /// <summary>Exceptions cannot pass through libtorch: it gets no memory and throws one of its own.</summary>
    [UnmanagedCallersOnly]
    private static void* Allocate(nuint bytes)
    {
        var scope = _current!;

        // Where a redirection is around the outermost scope, its memory is used; a scope within a scope allocates as that does.
        var outermost = scope;
        while (outermost._outer is { } outer)
            outermost = outer;
        var (allocate, free) = bytes < AllocatorCode.SmallestBlock ? (0, 0) : (outermost._redirection.OuterAllocate, outermost._redirection.OuterFree);
        try
        {
            var memory = allocate == 0 ? NativeMemory.AlignedAlloc(bytes, 64) : ((delegate* unmanaged<nuint, void*>)allocate)(bytes);
            if (memory != null)
                Blocks[(nint)memory] = new Block(scope, allocate == 0 ? 0 : free);
            return memory;
        }
        catch (OutOfMemoryException)
        {
            return null;
        }
    }

    [UnmanagedCallersOnly]
    private static void Free(void* address)
    {
        Blocks.TryRemove((nint)address, out var block);
        if (block.Free == 0)
            NativeMemory.AlignedFree(address);
        else
            ((delegate* unmanaged<void*, void>)block.Free)(address);
    }

    private static bool Owns(nint address) => Blocks.ContainsKey(address);

    /// <param name="Scope">The innermost scope.</param>
    /// <param name="Free">What frees it; 0 for the C library.</param>
    private readonly record struct Block(CreationScope? Scope, nint Free);
}
