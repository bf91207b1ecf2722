using ShardSharp.Modules;

namespace ShardSharp.Checkpoints;

/// <summary>
/// Which elements of an undivided tensor somebody has: some index ranges of one dimension (tensor parallelism), laid out flat, and of those
/// a run from one element to another (sharding). Everything that ranks hold is such a part, and so is everything that files store.
/// </summary>
internal sealed class TensorPart
{
    private readonly long[] _before;
    private readonly long _steps;
    private readonly long _inner;
    private readonly long _size;
    private readonly long _width;

    /// <param name="shape">Shape of the undivided tensor.</param>
    /// <param name="dimension">The dimension that is divided; null where none is.</param>
    /// <param name="ranges">What the part has of that dimension, in the order in which it lays it out.</param>
    /// <param name="start">The first element of those laid out flat, last dimension fastest.</param>
    /// <param name="count">How many elements from there on.</param>
    /// <exception cref="ArgumentException">There is no such part.</exception>
    public TensorPart(IReadOnlyList<long> shape, int? dimension, IReadOnlyList<IndexRange> ranges, long start, long count)
    {
        (Shape, Start, Count) = (shape, start, count);
        Elements = ElementsOf(shape);
        (Dimension, Ranges) = Simplified(shape, dimension, ranges);

        // An undivided tensor is one step of one dimension that has everything.
        (_steps, _size, _inner) = Dimension is { } divided
            ? (ElementsOf(shape.Take(divided)), shape[divided], ElementsOf(shape.Skip(divided + 1)))
            : (1, Elements, 1);
        _before = new long[Ranges.Count];
        foreach (var (i, range) in Ranges.Index())
        {
            _before[i] = _width;
            _width += range.Length;
        }

        if (start < 0 || count < 0 || start > LayoutElements || count > LayoutElements - start)
            throw new ArgumentException($"{count} elements from {start} on are not within the {LayoutElements} of the layout.");
    }

    /// <summary>Shape of the undivided tensor.</summary>
    public IReadOnlyList<long> Shape { get; }

    /// <summary>Elements of the undivided tensor.</summary>
    public long Elements { get; }

    /// <summary>The dimension that is divided; null where the layout is the whole tensor.</summary>
    public int? Dimension { get; }

    /// <summary>What the layout has of it; the whole tensor as one range of all elements where nothing is divided.</summary>
    public IReadOnlyList<IndexRange> Ranges { get; }

    /// <summary>The first element of the layout laid out flat.</summary>
    public long Start { get; }

    /// <summary>How many elements from there on.</summary>
    public long Count { get; }

    /// <summary>
    /// The same elements range by range, each with where it begins in this part, where ranks share some ranges and not others: what is to be saved
    /// once needs a layout that is the same on all ranks that have it. Null elsewhere.
    /// </summary>
    public IReadOnlyList<(long Offset, TensorPart Part)>? Separate { get; private init; }

    /// <summary>The element of the layout behind the last.</summary>
    public long End => Start + Count;

    /// <summary>Elements of the layout, of which the part is a run.</summary>
    public long LayoutElements => _steps * _width * _inner;

    /// <summary>Whether the part is the whole undivided tensor, in its order.</summary>
    public bool IsWhole => Dimension is null && Count == Elements;

    /// <summary>Names the layout: parts of equal layouts differ only in where they begin and end.</summary>
    public string Layout => Dimension is { } dimension
        ? $"{dimension}:{string.Join(",", Ranges.Select(range => $"{range.Start}+{range.Length}"))}"
        : "";

    /// <summary>The part of a rank's tensor.</summary>
    /// <param name="layout">What of the undivided tensor the rank's tensor is.</param>
    /// <param name="start">The first element of the rank's tensor, laid out flat, that belongs to the part.</param>
    /// <param name="count">How many elements.</param>
    public static TensorPart Of(ParameterLayout layout, long start, long count) =>
        new(layout.Shape, layout.DividedDimension, layout.Ranges, start, count) { Separate = layout.HasMixedCopies ? [.. RangesOf(layout, start, count)] : null };

    /// <summary>All of an undivided tensor.</summary>
    public static TensorPart Whole(IReadOnlyList<long> shape) => new(shape, null, [], 0, ElementsOf(shape));

    /// <summary>Another run of the same layout.</summary>
    public TensorPart Run(long start, long count) => new(Shape, Dimension, Dimension is null ? [] : Ranges, start, count);

    /// <summary>Elements of a shape.</summary>
    /// <exception cref="ArgumentException">A size is negative, or the elements are too many to count.</exception>
    public static long ElementsOf(IEnumerable<long> shape)
    {
        Int128 elements = 1;
        foreach (var size in shape)
        {
            elements *= size;
            if (size < 0 || elements > long.MaxValue)
                throw new ArgumentException($"[{string.Join(", ", shape)}] is no shape.");
        }

        return (long)elements;
    }

    /// <summary>What this part and another part of the same tensor both have.</summary>
    /// <returns>Runs of elements that lie one behind another in the undivided tensor and in both parts.</returns>
    public IEnumerable<Overlap> Overlaps(TensorPart other)
    {
        foreach (var (here, place, count) in Pieces(0, Elements))
        {
            foreach (var (there, placeThere, countThere) in other.Pieces(place, count))
                yield return new Overlap(here + placeThere - place, there, countThere);
        }
    }

    private static IEnumerable<(long Offset, TensorPart Part)> RangesOf(ParameterLayout layout, long start, long count)
    {
        var inner = ElementsOf(layout.Shape.Skip(1));
        foreach (var (range, first, elements, _) in layout.RunsOf(start, count))
        {
            var before = layout.Ranges.Take(range).Sum(other => other.Length) * inner;
            yield return (first - start, new TensorPart(layout.Shape, 0, [layout.Ranges[range]], first - before, elements));
        }
    }

    /// <summary>What the part has of a run of elements of the undivided tensor.</summary>
    private IEnumerable<(long Here, long Place, long Count)> Pieces(long place, long count)
    {
        var (row, rowHere) = (_size * _inner, _width * _inner);
        if (Count == 0 || count == 0)
            yield break;
        var first = Math.Max(place / row, Start / rowHere);
        var last = Math.Min((place + count - 1) / row, (End - 1) / rowHere);
        for (var step = first; step <= last; step++)
        {
            for (var i = 0; i < _before.Length; i++)
            {
                // Where the range lies in the undivided tensor and in the layout; then what is asked for, and what the part has of it.
                var (begin, here) = ((step * row) + (Ranges[i].Start * _inner), (step * rowHere) + (_before[i] * _inner));
                var low = Math.Max(begin, Math.Max(place, begin + Start - here));
                var high = Math.Min(begin + (Ranges[i].Length * _inner), Math.Min(place + count, begin + End - here));
                if (low < high)
                    yield return (here + low - begin - Start, low, high - low);
            }
        }
    }

    private static (int? Dimension, IReadOnlyList<IndexRange> Ranges) Simplified(
        IReadOnlyList<long> shape, int? dimension, IReadOnlyList<IndexRange> ranges)
    {
        IReadOnlyList<IndexRange> everything = [new IndexRange(0, ElementsOf(shape))];
        if (dimension is not { } divided)
            return (null, everything);
        if (divided < 0 || divided >= shape.Count)
            throw new ArgumentException($"A tensor of shape [{string.Join(", ", shape)}] has no dimension {divided}.");
        var joined = new List<IndexRange>();
        foreach (var range in ranges)
        {
            if (range.Start < 0 || range.Length < 0 || range.Start > shape[divided] || range.Length > shape[divided] - range.Start)
                throw new ArgumentException($"{range.Length} indices from {range.Start} on are not within the {shape[divided]} of dimension {divided}.");
            if (joined is [.., var last] && last.End == range.Start)
                joined[^1] = last with { Length = last.Length + range.Length };
            else if (range.Length > 0)
                joined.Add(range);
        }

        return joined is [var only] && only.Length == shape[divided] ? (null, everything) : (divided, joined);
    }

    /// <summary>A run of elements that two parts have, in elements from the beginning of each.</summary>
    /// <param name="Here">Where it begins in the one part.</param>
    /// <param name="There">Where it begins in the other.</param>
    /// <param name="Count">How many elements.</param>
    public readonly record struct Overlap(long Here, long There, long Count);
}
