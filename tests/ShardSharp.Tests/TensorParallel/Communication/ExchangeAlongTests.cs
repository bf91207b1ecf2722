using ShardSharp.TensorParallel.Communication;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel.Communication;

public sealed class ExchangeAlongTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void What_is_divided_along_one_dimension_becomes_divided_along_another(int ranks) => RankHarness.Run(ranks, group =>
    {
        using var scope = NewDisposeScope();
        var (whole, factor) = (Randoms.Normal(1, 6, 2, 6), Randoms.Normal(2, 6, 2, 6));
        var rows = whole.chunk(ranks, 0)[group.Rank].clone().requires_grad_();
        var columns = ExchangeAlong.Run(rows, -1, 0, group);
        Assert.True(columns.Equals(whole.chunk(ranks, 2)[group.Rank]));
        (columns * factor.chunk(ranks, 2)[group.Rank]).sum().backward();
        Assert.True(rows.grad!.Equals(factor.chunk(ranks, 0)[group.Rank]));
    });

    [Fact]
    public void A_scaled_gradient_leaves_values_alone()
    {
        using var scope = NewDisposeScope();
        var input = Randoms.Normal(1, 3).requires_grad_();
        var output = ScaledGradient.Run(input, 4);
        Assert.True(output.Equals(input));
        output.sum().backward();
        Assert.True(input.grad!.Equals(full(3, 4f)));
    }
}
