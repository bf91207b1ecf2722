using CsCheck;
using ShardSharp.Modules;

namespace ShardSharp.Tests.Modules;

public sealed class FlatLayoutTests
{
    private static readonly Gen<(long[] Elements, int Slices, long Alignment)> Cases = Gen.Select(
        Gen.Long[0, 200].Array[1, 12], Gen.Int[1, 9], Gen.Int[0, 5].Select(power => 1L << power));

    [Fact]
    public void Every_element_lies_in_one_slice_where_the_whole_has_it() => Cases.Sample(given =>
    {
        var layout = new FlatLayout(given.Elements, given.Slices, given.Alignment);
        for (var parameter = 0; parameter < given.Elements.Length; parameter++)
        {
            var next = 0L;
            for (var slice = 0; slice < given.Slices; slice++)
            {
                var piece = layout.PieceOf(parameter, slice);
                if (piece.Length == 0)
                    continue;
                Assert.Equal(next, piece.InParameter);
                Assert.Equal(layout.OffsetOf(parameter) + piece.InParameter, (slice * layout.SliceLength) + piece.InSlice);
                Assert.InRange(piece.InSlice + piece.Length, 1, layout.SliceLength);
                next += piece.Length;
            }

            Assert.Equal(given.Elements[parameter], next);
        }
    });

    [Fact]
    public void Parameters_and_slices_are_aligned_and_do_not_overlap() => Cases.Sample(given =>
    {
        var layout = new FlatLayout(given.Elements, given.Slices, given.Alignment);
        var end = 0L;
        for (var parameter = 0; parameter < given.Elements.Length; parameter++)
        {
            Assert.Equal(end, layout.OffsetOf(parameter));
            Assert.Equal(0, layout.OffsetOf(parameter) % given.Alignment);
            Assert.True(layout.PaddingAfter(parameter) >= 0);
            end = layout.OffsetOf(parameter) + given.Elements[parameter] + layout.PaddingAfter(parameter);
        }

        Assert.Equal(layout.Length, end);
        Assert.Equal(0, layout.SliceLength % given.Alignment);
        Assert.Equal(layout.Length, layout.SliceLength * given.Slices);
    });

    [Fact]
    public void Little_is_wasted() => Cases.Sample(given =>
    {
        var layout = new FlatLayout(given.Elements, given.Slices, given.Alignment);
        Assert.InRange(layout.Length, given.Elements.Sum(), given.Elements.Sum() + ((given.Elements.Length + given.Slices) * given.Alignment));
    });

    [Fact]
    public void Three_parameters_on_two_ranks()
    {
        var layout = new FlatLayout([10, 3, 6], slices: 2, alignment: 4);

        Assert.Equal((24, 12), (layout.Length, layout.SliceLength));
        Assert.Equal(new FlatLayout.Piece(0, 0, 10), layout.PieceOf(0, 0));
        Assert.Equal(default, layout.PieceOf(0, 1));
        Assert.Equal(default, layout.PieceOf(1, 0));
        Assert.Equal(new FlatLayout.Piece(0, 0, 3), layout.PieceOf(1, 1));
        Assert.Equal(new FlatLayout.Piece(0, 4, 6), layout.PieceOf(2, 1));
    }
}
