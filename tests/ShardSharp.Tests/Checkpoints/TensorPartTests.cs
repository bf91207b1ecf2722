using CsCheck;
using ShardSharp.Checkpoints;
using ShardSharp.Modules;

namespace ShardSharp.Tests.Checkpoints;

/// <summary>The algebra of parts: whatever ranks hold, any other ranks find all of what they need in it, once.</summary>
public sealed class TensorPartTests
{
    /// <summary>A shape, and how ranks divide it: along a dimension in ranges that are dealt out, and each deal into runs.</summary>
    private static readonly Gen<(long[] Shape, Func<long[], List<TensorPart>> Divide)> Divisions =
        from shape in Gen.Long[1, 5].Array[1, 3]
        from divide in Division
        select (shape, divide);

    private static Gen<Func<long[], List<TensorPart>>> Division =>
        from seed in Gen.Int
        from dimension in Gen.Int[-1, 2]
        from ranks in Gen.Int[1, 3]
        from slices in Gen.Int[1, 3]
        select (Func<long[], List<TensorPart>>)(shape => Divide(shape, dimension, ranks, slices, new Random(seed)));

    [Fact]
    public void Any_division_holds_what_any_other_needs() =>
        Gen.Select(Divisions, Division).Sample(
            (first, second) =>
            {
                var (stored, wanted) = (first.Divide(first.Shape), second(first.Shape));
                Assert.Null(TensorCoverage.Problem(stored));
                foreach (var part in wanted)
                {
                    var found = new long[part.Count];
                    Array.Fill(found, -1);
                    foreach (var store in stored)
                    {
                        var values = Elements(store);
                        foreach (var (here, there, count) in part.Overlaps(store))
                        {
                            Assert.True(count > 0);
                            Assert.All(found.AsSpan((int)here, (int)count).ToArray(), value => Assert.Equal(-1, value));
                            values.AsSpan((int)there, (int)count).CopyTo(found.AsSpan((int)here));
                        }
                    }

                    Assert.Equal(Elements(part), found);
                }
            },
            iter: 3000);

    [Fact]
    public void A_division_that_lacks_or_repeats_something_is_found_out() =>
        Gen.Select(Divisions, Gen.Int[0, 100], Gen.Bool).Sample(
            (division, choice, repeats) =>
            {
                var parts = division.Divide(division.Shape).Where(part => part.Count > 0).ToList();
                var chosen = parts[choice % parts.Count];
                if (repeats)
                    parts.Add(chosen);
                else
                    parts.Remove(chosen);
                Assert.NotNull(TensorCoverage.Problem(parts));
            },
            iter: 1000);

    [Theory]
    [InlineData(-1, 0, 8)]
    [InlineData(2, 0, 8)]
    [InlineData(0, -1, 2)]
    [InlineData(0, 7, 2)]
    [InlineData(0, 0, 9)]
    public void Parts_lie_within_their_tensor(int dimension, long start, long count)
    {
        long[] shape = [4, 2];
        Assert.Throws<ArgumentException>(() => new TensorPart(shape, dimension, [new IndexRange(0, 4)], start, count));
        Assert.Throws<ArgumentException>(() => new TensorPart(shape, 0, [new IndexRange(1, long.MaxValue)], 0, 1));
        Assert.Throws<ArgumentException>(() => TensorPart.ElementsOf([long.MaxValue, 2]));
        Assert.Throws<ArgumentException>(() => TensorPart.ElementsOf([-1]));
    }

    [Fact]
    public void Everything_of_a_dimension_is_the_whole()
    {
        var part = new TensorPart([4, 2], 1, [new IndexRange(0, 1), new IndexRange(1, 1)], 0, 8);
        Assert.True(part.IsWhole);
        Assert.Equal("", part.Layout);
    }

    /// <summary>The flat indices, in the undivided tensor, of a part's elements, computed the slow way.</summary>
    private static long[] Elements(TensorPart part)
    {
        var all = new List<long>();
        long inner = 1, size = part.Elements, steps = 1;
        if (part.Dimension is { } dimension)
        {
            inner = TensorPart.ElementsOf(part.Shape.Skip(dimension + 1));
            size = part.Shape[dimension];
            steps = TensorPart.ElementsOf(part.Shape.Take(dimension));
        }

        for (var step = 0L; step < steps; step++)
        {
            foreach (var range in part.Ranges)
            {
                for (var index = range.Start; index < range.End; index++)
                {
                    for (var i = 0L; i < inner; i++)
                        all.Add((((step * size) + index) * inner) + i);
                }
            }
        }

        return [.. all.Skip((int)part.Start).Take((int)part.Count)];
    }

    private static List<TensorPart> Divide(long[] shape, int dimension, int ranks, int slices, Random random)
    {
        if (dimension < 0 || dimension >= shape.Length)
            return Slices(shape, null, [], slices, random);
        var cuts = Cuts(shape[dimension], random.Next(0, 4), random);
        var ranges = cuts.Zip(cuts.Skip(1)).Select(cut => new IndexRange(cut.First, cut.Second - cut.First)).ToArray();
        random.Shuffle(ranges);
        return [.. Enumerable.Range(0, ranks).SelectMany(
            rank => Slices(shape, dimension, [.. ranges.Where((_, i) => i % ranks == rank)], slices, random))];
    }

    private static List<TensorPart> Slices(long[] shape, int? dimension, IndexRange[] ranges, int slices, Random random)
    {
        var whole = new TensorPart(shape, dimension, ranges, 0, 0);
        var cuts = Cuts(whole.LayoutElements, slices - 1, random);
        return [.. cuts.Zip(cuts.Skip(1)).Select(cut => whole.Run(cut.First, cut.Second - cut.First))];
    }

    private static List<long> Cuts(long size, int count, Random random) =>
        [0, .. Enumerable.Range(0, count).Select(_ => random.NextInt64(0, size + 1)).Order(), size];
}
