namespace ShardSharp.Modules;

/// <summary>
/// Where parameters lie in one run of elements that is cut into equal slices, one per rank. A parameter may lie in several slices.
/// </summary>
/// <remarks>Parameters and slices begin at multiples of the alignment; what is left over between them belongs to no parameter.</remarks>
internal sealed class FlatLayout
{
    private readonly long[] _elements;
    private readonly long[] _offsets;

    /// <param name="elements">Elements of each parameter, in order.</param>
    /// <param name="slices">Ranks that share the run.</param>
    /// <param name="alignment">Elements that parameters and slices begin at a multiple of.</param>
    public FlatLayout(IEnumerable<long> elements, int slices, long alignment)
    {
        _elements = [.. elements];
        _offsets = new long[_elements.Length];
        var end = 0L;
        for (var i = 0; i < _elements.Length; i++)
        {
            _offsets[i] = end;
            end += RoundUp(_elements[i], alignment);
        }

        SliceLength = RoundUp(end, slices * alignment) / slices;
        Length = SliceLength * slices;
    }

    /// <summary>Elements of the whole run.</summary>
    public long Length { get; }

    /// <summary>Elements of a slice.</summary>
    public long SliceLength { get; }

    /// <summary>Where a parameter begins in the run.</summary>
    public long OffsetOf(int parameter) => _offsets[parameter];

    /// <summary>Elements of a parameter.</summary>
    public long LengthOf(int parameter) => _elements[parameter];

    /// <summary>Elements after a parameter that belong to none.</summary>
    public long PaddingAfter(int parameter) =>
        (parameter + 1 < _offsets.Length ? _offsets[parameter + 1] : Length) - _offsets[parameter] - _elements[parameter];

    /// <summary>What a slice holds of a parameter; empty where it holds nothing of it.</summary>
    public Piece PieceOf(int parameter, int slice)
    {
        var (first, end) = (slice * SliceLength, (slice + 1) * SliceLength);
        var start = Math.Clamp(_offsets[parameter], first, end);
        var stop = Math.Clamp(_offsets[parameter] + _elements[parameter], start, end);
        return stop == start ? default : new Piece(start - _offsets[parameter], start - first, stop - start);
    }

    private static long RoundUp(long number, long multiple) => (number + multiple - 1) / multiple * multiple;

    /// <summary>A part of a parameter that lies in one slice, in elements.</summary>
    /// <param name="InParameter">Where it begins in the parameter, laid out flat.</param>
    /// <param name="InSlice">Where it begins in the slice.</param>
    /// <param name="Length">How long it is.</param>
    public readonly record struct Piece(long InParameter, long InSlice, long Length);
}
