using ShardSharp.Native;

namespace ShardSharp.Communication.Local;

/// <summary>Zero-initialised memory that all ranks of a group reach, page-aligned.</summary>
internal abstract unsafe class MemoryRegion : IDisposable
{
    /// <summary>First byte, in this process.</summary>
    public abstract byte* Address { get; }

    public abstract void Dispose();
}

/// <summary>Memory of this process, for ranks that are its threads.</summary>
internal sealed unsafe class ProcessMemoryRegion(long length) : MemoryRegion
{
    private readonly Lock _gate = new();
    private int _users;

    public override byte* Address { get; } = PageMemory.Allocate(length);

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
                PageMemory.Free(Address, length);
        }
    }
}
