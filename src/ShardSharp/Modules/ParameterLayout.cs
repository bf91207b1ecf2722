using static TorchSharp.torch;

namespace ShardSharp.Modules;

/// <summary>
/// Which part of a parameter of the undivided model a rank's tensor is: the whole of it, or some index ranges of one dimension, one after
/// another. A fused projection of queries, keys and values takes three ranges, one of each.
/// </summary>
internal sealed class ParameterLayout
{
    private readonly IReadOnlyList<int>? _copiesOfRanges;

    private ParameterLayout(long[] shape, int dimension, IReadOnlyList<IndexRange> ranges, int copies, IReadOnlyList<int>? copiesOfRanges = null) =>
        (Shape, Dimension, Ranges, Copies, _copiesOfRanges) = (shape, dimension, ranges, copies, copiesOfRanges);

    /// <summary>Shape of the parameter of the undivided model.</summary>
    public IReadOnlyList<long> Shape { get; }

    /// <summary>The dimension that is divided; null where the tensor is the whole parameter.</summary>
    public int? DividedDimension => IsWhole ? null : Dimension;

    /// <summary>What the tensor holds of the divided dimension, in the order in which it holds it.</summary>
    public IReadOnlyList<IndexRange> Ranges { get; }

    /// <summary>How many ranks of the tensor-parallel group hold the same elements as this one, itself included; the fewest where ranges differ.</summary>
    public int Copies { get; }

    /// <summary>Whether some ranges are held by more ranks than others: those of keys and values in a fused projection.</summary>
    public bool HasMixedCopies => _copiesOfRanges is not null;

    /// <summary>Whether the tensor is the whole parameter.</summary>
    public bool IsWhole => Dimension < 0;

    /// <summary>Shape of this rank's tensor.</summary>
    public long[] LocalShape
    {
        get
        {
            long[] local = [.. Shape];
            if (!IsWhole)
                local[Dimension] = Ranges.Sum(range => range.Length);
            return local;
        }
    }

    private int Dimension { get; }

    /// <summary>The layout of a parameter that is not divided.</summary>
    /// <param name="shape">The parameter's shape.</param>
    /// <param name="copies">As <see cref="Copies"/>.</param>
    public static ParameterLayout Whole(ReadOnlySpan<long> shape, int copies = 1) => new(shape.ToArray(), -1, [], copies);

    /// <summary>The layout of a part of a parameter.</summary>
    /// <param name="shape">Shape of the undivided parameter.</param>
    /// <param name="dimension">The dimension that is divided.</param>
    /// <param name="ranges">What this rank holds of it; ranges do not overlap.</param>
    /// <param name="copies">As <see cref="Copies"/>.</param>
    public static ParameterLayout Divided(ReadOnlySpan<long> shape, int dimension, IReadOnlyList<IndexRange> ranges, int copies = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(dimension);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(dimension, shape.Length);
        foreach (var range in ranges)
        {
            if (range.Start < 0 || range.Length < 0 || range.End > shape[dimension])
                throw new ArgumentException($"{range} is not within the {shape[dimension]} indices of dimension {dimension}.", nameof(ranges));
        }

        return new ParameterLayout(shape.ToArray(), dimension, ranges, copies);
    }

    /// <summary>The layout of a part of a parameter whose ranges are held by different numbers of ranks, along its first dimension.</summary>
    /// <param name="shape">Shape of the undivided parameter.</param>
    /// <param name="ranges">What this rank holds of it, and how many ranks hold it; ranges do not overlap.</param>
    public static ParameterLayout Mixed(ReadOnlySpan<long> shape, IReadOnlyList<(IndexRange Range, int Copies)> ranges)
    {
        var (copies, most) = (ranges.Min(each => each.Copies), ranges.Max(each => each.Copies));
        var divided = Divided(shape, 0, [.. ranges.Select(each => each.Range)], copies);
        return copies == most ? divided : new ParameterLayout(shape.ToArray(), 0, divided.Ranges, copies, [.. ranges.Select(each => each.Copies)]);
    }

    /// <summary>How many ranks hold a range.</summary>
    /// <param name="range">Its number in <see cref="Ranges"/>.</param>
    public int CopiesOf(int range) => _copiesOfRanges?[range] ?? Copies;

    /// <summary>The runs of elements of this rank's tensor, laid out flat, that the same ranges make up, with the number of ranks that hold them.</summary>
    /// <param name="start">The first element that counts.</param>
    /// <param name="count">How many from there on.</param>
    public IEnumerable<(int Range, long Start, long Count, int Copies)> RunsOf(long start, long count)
    {
        var (inner, before) = (Shape.Skip(1).Aggregate(1L, (product, length) => product * length), 0L);
        for (var range = 0; range < Ranges.Count; range++)
        {
            var end = before + (Ranges[range].Length * inner);
            var (low, high) = (Math.Max(start, before), Math.Min(start + count, end));
            if (low < high)
                yield return (range, low, high - low, CopiesOf(range));
            before = end;
        }
    }

    /// <summary>Takes this rank's part out of the whole parameter.</summary>
    /// <param name="whole">The undivided parameter.</param>
    /// <returns>The part: a view of the whole where it is one range, else a new tensor.</returns>
    public Tensor Slice(Tensor whole)
    {
        if (IsWhole)
            return whole.alias();
        var parts = Ranges.Select(range => whole.narrow(Dimension, range.Start, range.Length)).ToArray();
        if (parts.Length == 1)
            return parts[0];
        var joined = cat(parts, Dimension);
        foreach (var part in parts)
            part.Dispose();
        return joined;
    }
}
