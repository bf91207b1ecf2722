using System.Runtime.CompilerServices;

namespace ShardSharp.Communication;

public abstract partial class ProcessGroup
{
    /// <summary>
    /// Whether the ranks can share memory: they are threads of one process, or processes of one host that were not told to talk MPI.
    /// </summary>
    public virtual bool SharesMemory => false;

    /// <summary>Allocates memory that all ranks of the group read and write; every rank calls it.</summary>
    /// <param name="bytes">How much, the same on every rank.</param>
    /// <returns>The memory, which each rank disposes for itself.</returns>
    /// <exception cref="NotSupportedException">The ranks cannot share memory; <see cref="SharesMemory"/> tells.</exception>
    /// <exception cref="CollectiveMismatchException">The ranks asked for different sizes.</exception>
    /// <inheritdoc cref="AllReduce(TorchSharp.torch.Tensor, ReduceOperation, string, int)"/>
    public SharedMemory AllocateShared(long bytes, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (!SharesMemory)
        {
            throw new NotSupportedException(
                $"The {Size} ranks of group '{Name}' communicate by messages and cannot share memory; only groups whose ranks all use the "
                + "shared-memory or threads backend on one host can. SharesMemory tells which do; Split makes groups of the ranks of one host.");
        }

        return Share(bytes, new CallSite(file, line));
    }

    /// <summary>Allocates memory of all ranks, where they <see cref="SharesMemory"/>.</summary>
    private protected virtual SharedMemory Share(long bytes, CallSite site) => throw new NotSupportedException();
}
