using System.Runtime.InteropServices;
using ShardSharp.Native;

namespace ShardSharp.Modules;

/// <summary>
/// Builds a model that may be larger than memory: its tensors lie in a file until it is known which of them this rank holds.
/// </summary>
/// <remarks>
/// The user's code runs as it always does and computes the same numbers; only where libtorch takes memory from is changed, and for this
/// thread alone. Tensors below <see cref="AllocatorCode.SmallestBlock"/> stay in memory.
/// </remarks>
internal sealed unsafe class DelayedConstruction : IDisposable
{
    /// <summary>What may be resident of the file, in bytes.</summary>
    internal const long ResidentBound = 256L << 20;

    // A kernel that fills memory writes a few GB a second at most: in this time far less than half of the bound.
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(10);

    /// <summary>The construction that this thread runs; libtorch's allocator passes no context.</summary>
    [ThreadStatic]
    private static DelayedConstruction? _current;

    private readonly SpillFile _file;
    private readonly ManualResetEvent _ended = new(initialState: false);
    private readonly Thread _watch;
    private Exception? _failure;

    /// <param name="folder">Where the file is made; null chooses one.</param>
    /// <exception cref="PlatformNotSupportedException">libtorch's allocator cannot be replaced here.</exception>
    /// <exception cref="IOException">There is no folder for the file.</exception>
    public DelayedConstruction(string? folder)
    {
        if (!TensorAllocator.Install())
        {
            throw new PlatformNotSupportedException(
                "Delayed initialisation needs Linux x64 and libtorch's own allocator, with executable memory allowed. Set "
                + "delayed_parameter_initialization to false.");
        }

        _file = new SpillFile(SpillFolder.Find(folder));
        _watch = new Thread(BoundResidency) { Name = "delayed initialisation", IsBackground = true };
        _watch.Start();
    }

    /// <summary>Runs a function whose tensors come from the file.</summary>
    /// <exception cref="IOException">The disk is full.</exception>
    public T Build<T>(Func<T> create)
    {
        using var _ = TensorAllocator.Redirect(&Allocate, &Free);
        _current = this;
        try
        {
            var built = create();
            return _failure is null ? built : throw _failure;
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

    /// <summary>Moves whatever is left of the file to ordinary memory: parameters that this rank holds whole, buffers, other tensors.</summary>
    /// <exception cref="InsufficientMemoryException">It does not fit.</exception>
    public void MoveToMemory() => _file.MoveToMemory();

    /// <summary>Ends the file.</summary>
    public void Dispose()
    {
        _ended.Set();
        _watch.Join();
        _ended.Dispose();
        _file.Dispose();
    }

    /// <summary>Exceptions cannot pass through libtorch: it gets no memory and throws one of its own, and the cause is kept.</summary>
    [UnmanagedCallersOnly]
    private static void* Allocate(nuint bytes)
    {
        try
        {
            return (void*)_current!._file.Allocate((long)bytes);
        }
        catch (Exception failure)
        {
            _current!._failure ??= failure;
            return null;
        }
    }

    [UnmanagedCallersOnly]
    private static void Free(void* address) => SpillFile.Free((nint)address);

    private void BoundResidency()
    {
        var before = ProcessMemory.ResidentSharedBytes;
        while (!_ended.WaitOne(Interval))
        {
            if (ProcessMemory.ResidentSharedBytes - before > ResidentBound / 2)
                _file.LetGo();
        }
    }
}
