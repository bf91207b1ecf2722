using ShardSharp.Native;

namespace ShardSharp.Modules;

/// <summary>
/// Builds a model that may be larger than memory: its tensors lie in a file until it is known which of them this rank holds.
/// </summary>
/// <remarks>
/// The user's code runs as it always does and computes the same numbers; only where libtorch takes memory from is changed, and for this
/// thread alone. Tensors below <see cref="AllocatorCode.SmallestBlock"/> stay in memory.
/// </remarks>
internal sealed class DelayedConstruction : IDisposable
{
    /// <summary>What may be resident of the file, in bytes.</summary>
    internal const long ResidentBound = 256L << 20;

    // A kernel that fills memory writes a few GB a second at most: in this time far less than half of the bound.
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(10);

    private readonly SpillFile _file;
    private readonly SpilledTensors _tensors;
    private readonly ManualResetEvent _ended = new(initialState: false);
    private readonly Thread _watch;

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
        _tensors = new SpilledTensors(_file);
        _watch = new Thread(BoundResidency) { Name = "delayed initialisation", IsBackground = true };
        _watch.Start();
    }

    /// <summary>Runs a function whose tensors come from the file.</summary>
    /// <exception cref="IOException">The disk is full.</exception>
    public T Build<T>(Func<T> create) => _tensors.Make(create);

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
