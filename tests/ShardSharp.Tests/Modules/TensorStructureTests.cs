using ShardSharp.Modules;
using ShardSharp.Tests.Pipeline.Tracing;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Modules;

public sealed class TensorStructureTests
{
    [Fact]
    public void Values_are_put_together_again_with_other_tensors()
    {
        using var scope = NewDisposeScope();
        var (one, two, three) = (ones(1), ones(2), ones(3));
        Check(one, 1);
        Check((one, (Tensor?)null, two), 2);
        Check(Tuple.Create(one, "text"), 1);
        Check(new[] { one, two, three }, 3);
        Check(new List<Tensor> { two, one }, 2);
        Check(new Dictionary<string, Tensor> { ["b"] = one, ["a"] = two }, 2);
        Check(new Nested(new Streams(one, two), 5, [three, one]), 4);
        Check(new Plain { First = one, Number = 3 }, 1);
        Check(null, 0);

        static void Check(object? value, int count)
        {
            var tensors = new List<Tensor>();
            var structure = TensorStructure.Of(value, tensors);
            Assert.Equal(count, tensors.Count);
            var others = tensors.Select(tensor => tensor + 1).ToArray();

            var found = new List<Tensor>();
            var built = structure.Build(others);
            Assert.Null(structure.DifferenceTo(TensorStructure.Of(built, found)));
            Assert.True(others.SequenceEqual(found, ReferenceEqualityComparer.Instance));

            // The value itself is what it was.
            var before = new List<Tensor>();
            TensorStructure.Of(value, before);
            Assert.True(tensors.SequenceEqual(before, ReferenceEqualityComparer.Instance));
        }
    }

    [Fact]
    public void A_value_of_another_kind_is_told_apart()
    {
        using var scope = NewDisposeScope();
        var one = ones(1);
        Assert.Equal("it was Tensor[] of 1 and is Tensor[] of 2", Difference(new[] { one }, new[] { one, one }));
        Assert.Equal("[1] was a tensor and is null", Difference((one, (Tensor?)one), (one, (Tensor?)null)));
        Assert.Equal("[1] was 5 and is 6", Difference(new Nested(null, 5, []), new Nested(null, 6, [])));
        Assert.Null(Difference(new Nested(null, 5, []), new Nested(null, 5, [])));
    }

    [Fact]
    public void What_no_pipeline_carries_is_named()
    {
        using var scope = NewDisposeScope();
        Assert.Equal("5", Of(new Nested(null, 5, [])).Beside);
        Assert.Equal("a MemoryStream", Of(new MemoryStream()).Beside);
        Assert.Null(Of((ones(1), (Tensor?)null)).Beside);
    }

    private static TensorStructure Of(object? value) => TensorStructure.Of(value, []);

    private static string? Difference(object? first, object? second) => Of(first).DifferenceTo(Of(second));

    private sealed record Nested(Streams? Streams, int Number, List<Tensor> More);

    private struct Plain
    {
        public Tensor First { get; set; }

        public int Number { get; init; }
    }
}
