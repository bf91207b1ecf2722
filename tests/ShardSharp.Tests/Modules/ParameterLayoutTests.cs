using CsCheck;
using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Modules;

public sealed class ParameterLayoutTests
{
    [Fact]
    public void A_whole_parameter_is_itself()
    {
        using var whole = arange(6).reshape(2, 3);

        var layout = ParameterLayout.Whole(whole.shape);

        using var part = layout.Slice(whole);
        Assert.Null(layout.DividedDimension);
        Assert.Equal([2, 3], layout.LocalShape);
        Assert.True(part.equal(whole).all().item<bool>());
    }

    [Fact]
    public void Takes_queries_keys_and_values_of_some_heads()
    {
        using var whole = arange(12);

        var layout = ParameterLayout.Divided([12], 0, [new(2, 2), new(6, 2), new(10, 2)]);

        using var part = layout.Slice(whole);
        Assert.Equal([2L, 3, 6, 7, 10, 11], part.data<long>().ToArray());
    }

    [Fact]
    public void Parts_in_order_are_the_whole() =>
        Gen.Select(Gen.Int[1, 4], Gen.Int[1, 4], Gen.Int[1, 5], Gen.Bool).Sample((rows, columns, ranks, byColumn) =>
        {
            using var scope = NewDisposeScope();
            var whole = arange(rows * columns).reshape(rows, columns);
            var dimension = byColumn ? 1 : 0;
            var length = whole.shape[dimension];
            var parts = Enumerable.Range(0, ranks).Select(rank =>
            {
                var (start, end) = (length * rank / ranks, length * (rank + 1) / ranks);
                var layout = ParameterLayout.Divided(whole.shape, dimension, [new(start, end - start)]);
                var part = layout.Slice(whole);
                Assert.Equal(layout.LocalShape, part.shape);
                return part;
            });
            Assert.True(cat([.. parts], dimension).equal(whole).all().item<bool>());
        });

    [Theory]
    [InlineData(0, 4)]
    [InlineData(-1, 2)]
    [InlineData(3, 1)]
    public void Refuses_indices_that_the_parameter_lacks(long start, long length) =>
        Assert.Throws<ArgumentException>(() => ParameterLayout.Divided([3], 0, [new(start, length)]));

    [Fact]
    public void A_parameter_that_nothing_was_said_of_is_whole()
    {
        using var local = zeros(2, 3);
        var layouts = new ParameterLayouts();
        layouts.Set("divided", ParameterLayout.Divided([4, 3], 0, [new(2, 2)], copies: 2));

        Assert.Equal([4, 3], layouts.Of("divided", local).Shape);
        Assert.Equal(2, layouts.Of("divided", local).Copies);
        Assert.True(layouts.Of("other", local).IsWhole);
    }
}
