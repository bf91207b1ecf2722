using System.Runtime.InteropServices;

namespace ShardSharp.Communication;

/// <summary>One logical run of bytes over one or several pieces of memory, so that many tensors travel as one message.</summary>
/// <remarks>The memory belongs to the caller and must stay in place while the buffer is used.</remarks>
internal readonly unsafe struct FlatBuffer
{
    private readonly byte* _single;
    private readonly Piece[]? _pieces;

    public FlatBuffer(void* address, long length)
    {
        _single = (byte*)address;
        Length = length;
    }

    /// <param name="pieces">Address and length in bytes of every piece, in order.</param>
    public FlatBuffer(ReadOnlySpan<(nint Address, long Length)> pieces)
    {
        _pieces = new Piece[pieces.Length];
        for (var i = 0; i < pieces.Length; i++)
        {
            _pieces[i] = new Piece((byte*)pieces[i].Address, Length, pieces[i].Length);
            Length += pieces[i].Length;
        }
    }

    /// <summary>Several buffers, one after another.</summary>
    public static FlatBuffer Of(ReadOnlySpan<FlatBuffer> parts)
    {
        var pieces = new List<(nint, long)>();
        foreach (var part in parts)
        {
            foreach (var run in part.Runs(0, part.Length))
                pieces.Add(((nint)run.Address, run.Length));
        }

        return new FlatBuffer(CollectionsMarshal.AsSpan(pieces));
    }

    /// <summary>Bytes in all.</summary>
    public long Length { get; }

    /// <summary>Whether both stand for the same memory in the same order.</summary>
    public bool IsSameMemoryAs(FlatBuffer other) =>
        Length == other.Length && (_pieces is null ? other._pieces is null && _single == other._single : ReferenceEquals(_pieces, other._pieces));

    /// <summary>Its address, if it is one piece of memory.</summary>
    public bool TryGetAddress(out byte* address)
    {
        address = _single;
        return _pieces is null;
    }

    /// <summary>Part of the buffer.</summary>
    public FlatBuffer Slice(long offset, long length) => _pieces is null ? new FlatBuffer(_single + offset, length) : Join([(offset, length)]);

    /// <summary>Several parts of the buffer, one after another.</summary>
    public FlatBuffer Join(IEnumerable<(long Offset, long Length)> parts)
    {
        var pieces = new List<(nint, long)>();
        foreach (var (offset, length) in parts)
        {
            foreach (var run in Runs(offset, length))
                pieces.Add(((nint)run.Address, run.Length));
        }

        return new FlatBuffer(CollectionsMarshal.AsSpan(pieces));
    }

    /// <summary>Copies <paramref name="count"/> bytes from <paramref name="offset"/> on to <paramref name="destination"/>.</summary>
    public void Read(long offset, byte* destination, long count)
    {
        if (_pieces is null)
        {
            VectorCopy.Copy(_single + offset, destination, count);
            return;
        }

        foreach (var run in Runs(offset, count))
            VectorCopy.Copy(run.Address, destination + (run.Offset - offset), run.Length);
    }

    /// <summary>Copies <paramref name="count"/> bytes from <paramref name="source"/> to <paramref name="offset"/> on.</summary>
    /// <remarks>What is written to a buffer larger than the cache goes past the cache.</remarks>
    public void Write(long offset, byte* source, long count)
    {
        if (_pieces is null && Length < StreamingCopy.LeastBytes)
        {
            VectorCopy.Copy(source, _single + offset, count);
            return;
        }

        foreach (var run in Runs(offset, count))
        {
            var from = source + (run.Offset - offset);
            if (Length >= StreamingCopy.LeastBytes)
                StreamingCopy.Copy(from, run.Address, run.Length);
            else
                VectorCopy.Copy(from, run.Address, run.Length);
        }
    }

    /// <summary>The contiguous runs of memory that make up a range, in order.</summary>
    public RunEnumerator Runs(long offset, long count) => new(this, offset, count);

    /// <param name="Address">First byte.</param>
    /// <param name="Offset">Where it stands in the whole buffer.</param>
    /// <param name="Length">Bytes.</param>
    public readonly struct Piece(byte* Address, long Offset, long Length)
    {
        public byte* Address { get; } = Address;

        public long Offset { get; } = Offset;

        public long Length { get; } = Length;
    }

    /// <summary>Walks the runs of a range without allocating.</summary>
    public ref struct RunEnumerator
    {
        private readonly FlatBuffer _buffer;
        private readonly long _end;
        private long _position;
        private int _piece;

        internal RunEnumerator(FlatBuffer buffer, long offset, long count)
        {
            (_buffer, _position, _end) = (buffer, offset, offset + count);
            if (buffer._pieces is { } pieces && count > 0)
                _piece = FindPiece(pieces, offset);
        }

        public Piece Current { get; private set; }

        public readonly RunEnumerator GetEnumerator() => this;

        public bool MoveNext()
        {
            if (_position >= _end)
                return false;
            if (_buffer._pieces is not { } pieces)
            {
                Current = new Piece(_buffer._single + _position, _position, _end - _position);
            }
            else
            {
                while (pieces[_piece].Offset + pieces[_piece].Length <= _position)
                    _piece++;
                var piece = pieces[_piece];
                var within = _position - piece.Offset;
                Current = new Piece(piece.Address + within, _position, Math.Min(_end - _position, piece.Length - within));
            }

            _position += Current.Length;
            return true;
        }

        private static int FindPiece(Piece[] pieces, long offset)
        {
            var (low, high) = (0, pieces.Length - 1);
            while (low < high)
            {
                var middle = (low + high + 1) / 2;
                if (pieces[middle].Offset <= offset)
                    low = middle;
                else
                    high = middle - 1;
            }

            return low;
        }
    }
}
