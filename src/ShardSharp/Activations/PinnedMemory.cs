using ShardSharp.Native;

namespace ShardSharp.Activations;

/// <summary>Pinned memory of the host, in blocks that are used again: pinning takes longer than copying.</summary>
/// <remarks>
/// Whoever gives a block back may have a copy from it queued, as long as the next user's copies are queued in the same stream. Blocks are freed when
/// this is disposed.
/// </remarks>
/// <param name="device">The GPU that copies to it and from it.</param>
internal sealed unsafe class PinnedMemory(ICudaDevice device) : IDisposable
{
    private readonly Dictionary<long, Stack<nint>> _free = [];
    private readonly List<nint> _blocks = [];

    /// <summary>Bytes of all blocks.</summary>
    public long Bytes { get; private set; }

    /// <summary>A block of that many bytes.</summary>
    /// <exception cref="InsufficientMemoryException">The system gives no more of it.</exception>
    public nint Rent(long bytes)
    {
        if (_free.TryGetValue(bytes, out var blocks) && blocks.TryPop(out var block))
            return block;
        try
        {
            block = (nint)device.AllocatePinned(bytes);
        }
        catch (CudaException failure)
        {
            throw new InsufficientMemoryException(
                $"Offloading activations: a tensor of {bytes >> 10} KiB found no pinned memory of the host beside the {Bytes >> 20} MiB "
                + $"that this rank's activations have ({failure.Message}) Leave the ranks of this host more memory, checkpoint larger groups of layers "
                + "(activation_checkpointing_strategy = group_N), or set offload_activations to false.",
                failure);
        }

        _blocks.Add(block);
        Bytes += bytes;
        return block;
    }

    /// <summary>Gives a block back.</summary>
    public void Return(nint block, long bytes)
    {
        if (!_free.TryGetValue(bytes, out var blocks))
            _free[bytes] = blocks = new Stack<nint>();
        blocks.Push(block);
    }

    public void Dispose()
    {
        foreach (var block in _blocks)
            device.FreePinned((byte*)block);
    }
}
