using System.Collections.Concurrent;

namespace ShardSharp.Communication.Local;

/// <summary>How the ranks of one run come to share memory.</summary>
internal interface IRegionSource
{
    /// <summary>Creates a region on one rank; <paramref name="address"/> is what the others open it by.</summary>
    MemoryRegion Create(string name, long length, out string address);

    /// <summary>Opens what another rank created.</summary>
    MemoryRegion Open(string address, long length);

    /// <summary>Called on the creating rank once every other rank has opened the region.</summary>
    void Published(MemoryRegion region, string address);
}

/// <summary>Ranks are processes of one host.</summary>
internal sealed class SharedMemorySource : IRegionSource
{
    public MemoryRegion Create(string name, long length, out string address)
    {
        var region = SharedMemoryRegion.Create($"shardsharp {name}", length);
        address = region.Path;
        return region;
    }

    public MemoryRegion Open(string address, long length) => SharedMemoryRegion.Open(address, length);

    public void Published(MemoryRegion region, string address) => ((SharedMemoryRegion)region).CloseHandle();
}

/// <summary>Ranks are threads of this process; one instance serves one run.</summary>
internal sealed class ThreadMemorySource : IRegionSource
{
    private readonly ConcurrentDictionary<string, ProcessMemoryRegion> _regions = new();

    public MemoryRegion Create(string name, long length, out string address)
    {
        address = Guid.NewGuid().ToString("N");
        return (_regions[address] = new ProcessMemoryRegion(length)).Share();
    }

    public MemoryRegion Open(string address, long length) => _regions[address].Share();

    public void Published(MemoryRegion region, string address) => _regions.TryRemove(address, out _);
}
