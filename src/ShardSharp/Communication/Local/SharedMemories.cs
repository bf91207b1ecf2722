namespace ShardSharp.Communication.Local;

/// <summary>The memory of this rank that others of the run reach too, beside that of the groups.</summary>
/// <param name="ranksAreThreads">Whether the ranks are threads of this process, and so reach all of its memory.</param>
internal sealed unsafe class SharedMemories(bool ranksAreThreads)
{
    /// <summary>The memory of a process whose ranks are threads; positive numbers are those of <see cref="SharedMemory"/>.</summary>
    private const long ThisProcess = -1;

    private readonly Lock _gate = new();
    private SharedMemory[] _all = [];

    /// <summary>Whether a rank that leaves a failed operation may free what others still read.</summary>
    public bool RanksAreThreads => ranksAreThreads;

    public void Add(SharedMemory memory)
    {
        lock (_gate)
            _all = [.. _all, memory];
    }

    public void Remove(SharedMemory memory)
    {
        lock (_gate)
            _all = [.. _all.Where(other => other != memory)];
    }

    /// <summary>Where a buffer is for all ranks given.</summary>
    /// <returns>Nowhere, if not all of it is in one memory that all of them have.</returns>
    public BufferPlace Find(FlatBuffer buffer, IReadOnlyList<int> globalRanks)
    {
        if (!buffer.TryGetAddress(out var address))
            return default;
        if (ranksAreThreads)
            return new BufferPlace(ThisProcess, (long)address);
        foreach (var memory in Volatile.Read(ref _all))
        {
            var offset = address - memory.Start;
            if (offset >= 0 && offset + buffer.Length <= memory.Length && memory.IsOf(globalRanks))
                return new BufferPlace(memory.Number, offset);
        }

        return default;
    }

    /// <summary>The address of a place that another rank named, in a memory of which this rank has named a place too.</summary>
    public byte* AddressOf(BufferPlace place) => place.Memory == ThisProcess
        ? (byte*)place.Offset
        : Array.Find(Volatile.Read(ref _all), memory => memory.Number == place.Memory)!.Start + place.Offset;
}
