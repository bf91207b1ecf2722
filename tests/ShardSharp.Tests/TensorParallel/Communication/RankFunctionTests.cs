using ShardSharp.Communication;
using ShardSharp.TensorParallel;
using ShardSharp.TensorParallel.Communication;
using ShardSharp.Testing;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel.Communication;

/// <summary>What the functions give forward and backward, on ranks whose tensors differ, with lengths that ranks divide and that they do not.</summary>
public sealed class RankFunctionTests
{
    public static TheoryData<int, int, int> Layouts { get; } = new MatrixTheoryData<int, int, int>([1, 2, 3], [6, 7], [0, 1, 2]);

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Copies_sum_their_gradients(int ranks, int length, int dimension) => RankHarness.Run(ranks, group =>
    {
        using var scope = NewDisposeScope();
        var (input, factor) = (Drawn(1, length, dimension).requires_grad_(), Of(group.Rank, length, dimension));
        var output = CopyToRanks.Run(input, group);
        Assert.True(output.Equals(input));
        (output * factor).sum().backward();
        RequireClose(Sum(ranks, rank => Of(rank, length, dimension)), input.grad!);
    });

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Sums_pass_gradients_on(int ranks, int length, int dimension) => RankHarness.Run(ranks, group =>
    {
        using var scope = NewDisposeScope();
        var (input, factor) = (Of(group.Rank, length, dimension).requires_grad_(), Drawn(1, length, dimension));
        var output = SumOverRanks.Run(input, group);
        RequireClose(Sum(ranks, rank => Of(rank, length, dimension)), output);
        (output * factor).sum().backward();
        RequireClose(factor, input.grad!);
    });

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Gathered_parts_get_the_sum_of_different_gradients(int ranks, int length, int dimension) => RankHarness.Run(ranks, group =>
    {
        using var scope = NewDisposeScope();
        var whole = Drawn(1, length, dimension);
        var part = PartOf(whole, dimension, group).requires_grad_();
        var output = GatherAlong.Run(part, dimension, group, alike: false, length);
        Assert.True(output.Equals(whole));
        (output * Of(group.Rank, length, dimension)).sum().backward();
        RequireClose(PartOf(Sum(ranks, rank => Of(rank, length, dimension)), dimension, group), part.grad!);
    });

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Gathered_parts_take_their_part_of_equal_gradients(int ranks, int length, int dimension) => RankHarness.Run(ranks, group =>
    {
        using var scope = NewDisposeScope();
        var (whole, factor) = (Drawn(1, length, dimension), Drawn(2, length, dimension));
        var part = PartOf(whole, dimension, group).requires_grad_();
        var output = GatherAlong.Run(part, dimension - 3, group, alike: true, length);
        Assert.True(output.Equals(whole));
        (output * factor).sum().backward();
        RequireClose(PartOf(factor, dimension, group), part.grad!);
    });

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Scattered_tensors_gather_gradients(int ranks, int length, int dimension) => RankHarness.Run(ranks, group =>
    {
        using var scope = NewDisposeScope();
        var (whole, factor) = (Drawn(1, length, dimension).requires_grad_(), Drawn(2, length, dimension));
        var output = ScatterAlong.Run(whole, dimension, group);
        Assert.True(output.Equals(PartOf(whole, dimension, group)));
        (output * PartOf(factor, dimension, group)).sum().backward();
        RequireClose(factor, whole.grad!);
    });

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Scattered_sums_gather_gradients(int ranks, int length, int dimension) => RankHarness.Run(ranks, group =>
    {
        using var scope = NewDisposeScope();
        var (input, factor) = (Of(group.Rank, length, dimension).requires_grad_(), Drawn(1, length, dimension));
        var output = ReduceScatterAlong.Run(input, dimension, group);
        RequireClose(PartOf(Sum(ranks, rank => Of(rank, length, dimension)), dimension, group), output);
        (output * PartOf(factor, dimension, group)).sum().backward();
        RequireClose(factor, input.grad!);
    });

    [Fact]
    public void Without_a_graph_the_values_are_the_same() => RankHarness.Run(2, group =>
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var input = Of(group.Rank, 4, 1);
        RequireClose(Sum(2, rank => Of(rank, 4, 1)), SumOverRanks.Run(input, group));
        var whole = Drawn(1, 4, 1);
        Assert.True(GatherAlong.Run(ScatterAlong.Run(whole, 1, group), 1, group, alike: true).Equals(whole));
    });

    [Fact]
    public void A_failure_in_backward_is_thrown_by_what_comes_after_it()
    {
        var failures = RankHarness.Capture(2, group =>
        {
            using var scope = NewDisposeScope();
            var input = ones(group.Rank + 3).requires_grad_();
            CopyToRanks.Run(input, group).sum().backward();
            group.ThrowDeferred();
        });

        Assert.Equal(2, failures.Count);
        Assert.All(failures, failure => Assert.IsType<CollectiveMismatchException>(failure.Failure));
    }

    private static Tensor Drawn(int seed, int length, int dimension)
    {
        long[] shape = [2, 3, 4];
        shape[dimension] = length;
        using var generator = new Generator((ulong)seed);
        return rand(shape, generator: generator);
    }

    private static Tensor Of(int rank, int length, int dimension) => Drawn(100 + rank, length, dimension);

    private static Tensor Sum(int ranks, Func<int, Tensor> of) => Enumerable.Range(0, ranks).Select(of).Aggregate((sum, next) => sum + next);

    private static Tensor PartOf(Tensor whole, int dimension, ProcessGroup group)
    {
        var range = new Division(whole.shape[dimension], group.Size)[group.Rank];
        return whole.detach().narrow(dimension, range.Start, range.Length).clone();
    }

    private static void RequireClose(Tensor expected, Tensor actual) => Assert.True(allclose(expected, actual, 1e-6), $"{actual} instead of {expected}");
}
