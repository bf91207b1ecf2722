namespace ShardSharp.Communication.Local.Collectives;

/// <summary>One rank's part of a collective, in chunks that pass through shared memory.</summary>
/// <remarks>Between a stage of a chunk and its next stage, on any rank, lies a synchronisation point of all ranks.</remarks>
internal interface IStagedCollective
{
    /// <summary>Whether <see cref="Combine"/> leaves results that others <see cref="Fetch"/>.</summary>
    static abstract bool FetchesResults { get; }

    /// <summary>Chunks that the data is cut into, the same on every rank.</summary>
    int Chunks { get; }

    /// <summary>Puts this rank's contribution where the others can read it.</summary>
    void Publish(int chunk);

    /// <summary>Makes what this rank is responsible for out of all contributions.</summary>
    void Combine(int chunk);

    /// <summary>Collects what the other ranks made; never called where nothing is fetched.</summary>
    void Fetch(int chunk) => throw new NotSupportedException();
}

/// <summary>Cuts a length into chunks that fill a staging slot.</summary>
internal readonly struct Chunking
{
    private readonly long _length;
    private readonly long _step;

    /// <param name="length">Bytes to cut.</param>
    /// <param name="shares">Equal shares that travel in one slot.</param>
    public Chunking(long length, int shares = 1)
    {
        _length = length;
        _step = RegionLayout.SlotBytes / shares / Alignment * Alignment;
    }

    /// <summary>Chunks begin at multiples of a cache line, which holds a whole number of elements of any type.</summary>
    public const int Alignment = 64;

    /// <summary>One of several nearly equal parts of a length; the last ones may be smaller or empty.</summary>
    public static (long Start, long Length) Slice(long length, int part, int parts)
    {
        var step = ((length / parts / Alignment) + 1) * Alignment;
        var start = Math.Min(length, part * step);
        return (start, Math.Min(step, length - start));
    }

    public int Count => (int)((_length + _step - 1) / _step);

    public long Offset(int chunk) => chunk * _step;

    public long Length(int chunk) => Math.Min(_step, _length - Offset(chunk));
}
