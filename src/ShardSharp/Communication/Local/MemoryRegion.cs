using System.Runtime.InteropServices;

namespace ShardSharp.Communication.Local;

/// <summary>Zero-initialised memory that all ranks of a group reach, page-aligned.</summary>
internal abstract unsafe class MemoryRegion : IDisposable
{
    /// <summary>First byte, in this process.</summary>
    public abstract byte* Address { get; }

    public abstract void Dispose();
}

/// <summary>Memory of this process, for ranks that are its threads.</summary>
internal sealed unsafe class ProcessMemoryRegion : MemoryRegion
{
    private const nuint PageSize = 4096;
    private readonly byte* _allocated;
    private readonly Lock _gate = new();
    private int _users;

    public ProcessMemoryRegion(long length)
    {
        // Zeroed memory of this size comes straight from the kernel: pages that are never touched cost nothing.
        _allocated = (byte*)NativeMemory.AllocZeroed((nuint)length + PageSize);
        Address = (byte*)(((nuint)_allocated + PageSize - 1) & ~(PageSize - 1));
    }

    public override byte* Address { get; }

    /// <summary>Counts one more rank that uses the memory; the last one to dispose it frees it.</summary>
    public ProcessMemoryRegion Share()
    {
        lock (_gate)
            _users++;
        return this;
    }

    public override void Dispose()
    {
        lock (_gate)
        {
            if (--_users == 0)
                NativeMemory.Free(_allocated);
        }
    }
}
