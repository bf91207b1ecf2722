namespace ShardSharp.Communication.Mpi;

/// <summary>Cuts a length into chunks, and every chunk into a slice for each owner.</summary>
internal readonly struct Slicing
{
    private const int Alignment = 64;

    private readonly long _length;
    private readonly long _chunk;
    private readonly int _owners;

    /// <param name="length">Bytes to cut.</param>
    /// <param name="sliceBytes">The longest slice, a multiple of a cache line, which holds a whole number of elements of any type.</param>
    /// <param name="owners">Slices of a chunk.</param>
    public Slicing(long length, int sliceBytes, int owners) =>
        (_length, _chunk, _owners) = (length, (long)sliceBytes * owners, owners);

    /// <summary>Chunks.</summary>
    public int Count => (int)((_length + _chunk - 1) / _chunk);

    /// <summary>Where the slice of an owner lies; slices differ by a cache line, and at the end may be empty.</summary>
    public (long Start, long Length) this[int chunk, int owner]
    {
        get
        {
            var first = chunk * _chunk;
            var total = Math.Min(_chunk, _length - first);
            var step = (total + ((long)_owners * Alignment) - 1) / ((long)_owners * Alignment) * Alignment;
            var start = Math.Min(total, owner * step);
            return (first + start, Math.Min(step, total - start));
        }
    }
}
